"""Losses that compare predicted scores with human ratings, independent of either scale."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, Described


def plcc_loss(predicted: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the correlation loss of AGAV-Rater's code, from 0 (perfect correlation) to 0.5 (perfectly negative).

    ALL entries count together: with z-scores p and y over the whole tensor (population deviation, plus `eps`) and
    ρ = mean(p·y),

        loss = [mean((p − y)²)/4 + mean((ρp − y)²)/4] / 2,

    which is (3 − 2ρ − ρ²)/8 up to `eps`. With several scores, differences between their mean levels therefore count
    like differences between clips. The paper has another loss: `pearson_loss`. If all predictions are equal, the
    gradient is large but finite.

    Args:
        predicted: predicted scores, of any shape, such as (clips, scores).
        target: human ratings, of the same shape.
        eps: added to the standard deviations.

    Returns:
        A scalar.

    Raises:
        ArgumentError: if the shapes differ.

    Example:
        >>> scores = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> round(float(plcc_loss(20 * scores + 3, scores)), 4), round(float(plcc_loss(-scores, scores)), 4)
        (0.0, 0.5)
    """
    _check(predicted, target)
    p, y = (_standard(x, eps) for x in (predicted, target))
    rho = (p * y).mean()
    return (F.mse_loss(p, y) / 4 + F.mse_loss(rho * p, y) / 4) / 2


def pearson_loss(predicted: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Return (1 − r)/2 with Pearson's r over the clips of a batch: AGAV-Rater's paper, equation 3 (arXiv:2501.18314).

    Each score has its own r, and the result is the mean over scores. A score that is the same for all clips has r = 0.
    The published code trains with `plcc_loss` instead.

    Args:
        predicted: predicted scores, (clips,) or (clips, scores).
        target: human ratings, of the same shape.
        eps: lower limit of the norms in r.

    Returns:
        A scalar from 0 to 1.

    Raises:
        ArgumentError: if the shapes differ.

    Example:
        >>> scores = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> round(float(pearson_loss(scores * torch.tensor([2.0, -1.0]), scores)), 4)
        0.5
    """
    _check(predicted, target)
    p, y = (x - x.mean(0) for x in (predicted, target))
    return ((1 - F.cosine_similarity(p, y, dim=0, eps=eps)) / 2).mean()


def rank_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean hinge on pairs that are in the wrong order or too close (AIGVEval, equation 7).

    With e = 1 where y_i ≥ y_j and −1 elsewhere,

        loss = Σ_ij max(0, |y_i − y_j| − e·(s_i − s_j)) / n².

    A pair costs nothing once its predicted difference is at least the difference of its targets, so the scores are
    pulled towards the scale of the targets. AIGVEval's published code intends this loss but computes 0 (it transposes
    a vector), so its total loss is `plcc_loss` alone.

    Args:
        predicted: scores (n,).
        target: mean opinion scores (n,).

    Returns:
        A scalar, at least 0.

    Raises:
        ArgumentError: if the shapes differ or aren't (n,).

    Example:
        >>> float(rank_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 3.0])))
        0.0
        >>> float(rank_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 3.0])))  # 2 · 4 / 2²
        2.0
    """
    _check(predicted, target, 1)
    apart, wanted = predicted[:, None] - predicted, target[:, None] - target
    order = torch.where(wanted >= 0, 1.0, -1.0).to(apart)
    return (wanted.abs() - order * apart).relu().mean()


def scaled_rank_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the rank loss of FAST-VQA's and AIGVEval's code on columns: inversions over one plus the largest.

    With R_ij = max(0, (s_i − s_j)·sign(y_j − y_i)), loss = Σ R / (n·(n − 1)·(1 + max R)): only pairs in the wrong order
    contribute, by their distance; the scale of the scores hardly matters.

    Args:
        predicted: scores (n,), at least two.
        target: mean opinion scores (n,).

    Returns:
        A scalar from 0 to 1.

    Raises:
        ArgumentError: if the shapes differ, aren't (n,), or there are fewer than two.

    Example:
        >>> float(scaled_rank_loss(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 4.0])))
        0.0
    """
    _check(predicted, target, 1)
    count = len(predicted)
    if count < 2:
        raise ArgumentError("predicted", "at least two scores", Described(str(count)), "use a larger batch")
    inverted = ((predicted[:, None] - predicted) * (target - target[:, None]).sign()).relu()
    return inverted.sum() / count / (count - 1) / (1 + inverted.max())


def _standard(x: Tensor, eps: float) -> Tensor:
    variance = x.var(correction=0).clamp(min=torch.finfo(x.dtype).tiny)  # the root of 0 has no finite gradient
    return (x - x.mean()) / (variance.sqrt() + eps)


def _check(predicted: Tensor, target: Tensor, dimensions: int | None = None) -> None:
    if predicted.shape != target.shape:  # they would broadcast, and every clip would be compared with every other
        expected = f"one shape for both, that of predicted {tuple(predicted.shape)}"
        raise ArgumentError("target", expected, Described(str(tuple(target.shape))), "give a target for every score")
    if dimensions is not None and predicted.ndim != dimensions:
        raise ArgumentError("predicted", "a vector (n,)", Described(f"shape {tuple(predicted.shape)}"))
