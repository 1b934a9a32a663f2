"""Losses that compare the scores of a batch with people's, whatever scale either has."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import AvrewardError


def plcc_loss(predicted: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the correlation loss of AGAV-Rater's code, a scalar from 0 (rising line) to 0.5 (falling line).

    `predicted` and `target` are float tensors of one shape, such as (clips, scores). ALL their entries count together:
    with z-scores p and y over the whole tensor (population deviation, plus `eps`) and ρ = mean(p·y),

        loss = [mean((p − y)²)/4 + mean((ρp − y)²)/4] / 2,

    which is (3 − 2ρ − ρ²)/8 but for `eps`. A difference between the levels of two scores is thus rewarded like one
    between two clips. The paper has another loss: `pearson_loss`. Where all predictions are equal, the gradient is
    large but finite. `AvrewardError` if the shapes differ.

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

    `predicted` and `target` are float tensors of one shape, (clips,) or (clips, scores); each score has its own r, and
    the result is the mean over scores, a scalar from 0 to 1. A score that is the same for all clips has r = 0 (norms
    are at least `eps`). The published code trains with `plcc_loss` instead. `AvrewardError` if the shapes differ.

    >>> scores = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    >>> round(float(pearson_loss(scores * torch.tensor([2.0, -1.0]), scores)), 4)
    0.5
    """
    _check(predicted, target)
    p, y = (x - x.mean(0) for x in (predicted, target))
    return ((1 - F.cosine_similarity(p, y, dim=0, eps=eps)) / 2).mean()


def _standard(x: Tensor, eps: float) -> Tensor:
    variance = x.var(correction=0).clamp(min=torch.finfo(x.dtype).tiny)  # the root of 0 has no finite gradient
    return (x - x.mean()) / (variance.sqrt() + eps)


def _check(predicted: Tensor, target: Tensor) -> None:
    if predicted.shape != target.shape:  # they would broadcast, and every clip would be compared with every other
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise AvrewardError(f"predicted, target: shapes {shapes} differ; give a target for every predicted score")
