"""Quality levels in words: from ratings, and the cross-entropy that a language model learns them by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, Described


def to_levels(ratings: Tensor, low: float, high: float, levels: int = 5) -> Tensor:
    """Return the level of each rating: 0 for the best … levels − 1 for the worst, of equal width over [low, high].

    AIGV-Assessor (arXiv:2411.17221) and Q-Align (arXiv:2312.17090) make the words excellent, good, fair, poor and bad
    from mean opinion scores in this way. A rating on an edge belongs to the better level; ratings outside the range
    belong to the nearest level.

    Args:
        ratings: of any shape, finite.
        low: the lowest rating of the training data.
        high: the highest rating of the training data.
        levels: how many.

    Raises:
        ArgumentError: if `high` isn't above `low`, or a rating isn't finite.

    Example:
        >>> to_levels(torch.tensor([20.0, 40.0, 61.0, 80.0]), low=0.0, high=100.0)
        tensor([3, 2, 1, 0])
    """
    if not high > low:
        got = Described(f"{low:g} to {high:g}")
        raise ArgumentError("low, high", "a range with low below high", got, "all ratings equal have no levels")
    if not bool(ratings.isfinite().all()):
        raise ArgumentError("ratings", "finite numbers", ratings, "leave out clips without a rating")
    share = (ratings.double() - low) / (high - low)
    return (levels - 1 - (share * levels).floor().clamp(0, levels - 1)).long()


def level_loss(logits: Tensor, level: Tensor) -> Tensor:
    """Return the mean cross-entropy of level words: −log softmax(logits) at the right word.

    Args:
        logits: of the words, best first, (clips, words).
        level: index of the right word, (clips,).

    Returns:
        A scalar.

    Raises:
        ArgumentError: if shapes don't fit, or a level has no word.

    Example:
        >>> round(float(level_loss(torch.zeros(2, 5), torch.tensor([0, 4]))), 4)  # log 5
        1.6094
    """
    if logits.ndim != 2 or level.shape != logits.shape[:1]:
        shapes = Described(f"{tuple(logits.shape)} and {tuple(level.shape)}")
        raise ArgumentError("logits, level", "shapes (clips, words) and (clips,)", shapes)
    if len(level) and not 0 <= int(level.min()) <= int(level.max()) < logits.shape[1]:
        raise ArgumentError("level", f"indices from 0 to {logits.shape[1] - 1}", level.tolist())
    return F.cross_entropy(logits, level)


def expected_level(logits: Tensor) -> Tensor:
    """Return the expected level (…) under the softmax of logits (…, words), best word first: words … 1.

    >>> expected_level(torch.tensor([[99.0, 0.0, 0.0, 0.0, 0.0]]))
    tensor([5.])
    """
    values = torch.arange(logits.shape[-1], 0, -1, dtype=logits.dtype, device=logits.device)
    return logits.softmax(-1) @ values
