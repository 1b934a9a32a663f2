"""Pairwise accuracy: how often scores agree with people who compared two items, with and without ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.evaluation.correlation import Numbers, numbers_of

WANTED = (-1.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class PairAccuracy:
    """The result of `pair_accuracy`.

    Attributes:
        pairs: the number of pairs.
        decided: the number of pairs that people did not call a tie.
        right: the number of decided pairs whose sign agrees; a difference of 0 never does.
        thresholds: float64 (t,) the distinct absolute differences, ascending: no other threshold can be better.
        correct: int64 (t + 1,) the number of correct pairs without a threshold, then at each threshold.
    """

    pairs: int
    decided: int
    right: int
    thresholds: NDArray[np.float64]
    correct: NDArray[np.int64]

    @property
    def with_ties(self) -> float:
        """Share of all pairs that are right at the best threshold, in [0, 1]."""
        return int(self.correct.max()) / self.pairs

    @property
    def without_ties(self) -> float | None:
        """Share of the decided pairs that are right, in [0, 1]; `None` where people decided none."""
        return self.right / self.decided if self.decided else None

    @property
    def threshold(self) -> float | None:
        """The lowest of the best thresholds: a pair whose absolute difference is at most this is called a tie.

        `None` if calling no pair a tie is as good.
        """
        return self.best_thresholds[0]

    @property
    def best_thresholds(self) -> list[float | None]:
        """All thresholds with the highest number of correct pairs, ascending; `None` stands for no threshold."""
        bands: list[float | None] = [None, *self.thresholds.tolist()]
        return [bands[i] for i in np.flatnonzero(self.correct == self.correct.max())]


def pair_accuracy(human: Sequence[int] | NDArray[Any] | Tensor, difference: Numbers) -> PairAccuracy:
    """Return the pairwise accuracy with and without ties; exact, whatever the order of the pairs.

    With ties: for a threshold t, a pair is called a tie where ``|difference| ≤ t``, else the sign decides; the accuracy
    is the share of all pairs that is right at the best t (Deutsch, Foster and Freitag, "Ties matter", EMNLP 2023, as
    VideoGen-RewardBench uses it, arXiv:2501.13918). Pairs with equal absolute differences are always called alike,
    unlike in the routine published with that benchmark. Calling no pair a tie is among the choices; a difference of 0
    is then wrong, whatever people said. Without ties: pairs that people called a tie are left out.

    It takes O(n log n) time for n pairs.

    Args:
        human: (pairs,) 1 where people prefer the first, −1 the second, 0 a tie.
        difference: (pairs,) the score of the first minus the score of the second; finite.

    Raises:
        ArgumentError: for no pairs, other shapes, other labels and differences that are not finite.

    Example:
        >>> found = pair_accuracy([1, -1, 0, 1], [0.8, -0.3, 0.1, -0.1])
        >>> found.with_ties, found.threshold, round(found.without_ties, 3)
        (0.75, 0.1, 0.667)
    """
    labels, gaps = numbers_of("human", human), numbers_of("difference", difference)
    if len(labels) != len(gaps):
        raise ArgumentError("difference", f"one value a pair ({len(labels)})", Described(f"{len(gaps)} values"))
    if not len(labels):
        raise ArgumentError("human", "at least one pair", Described("none"))
    odd = labels[~np.isin(labels, WANTED)]
    if len(odd):
        raise ArgumentError("human", "1 (first), -1 (second) or 0 (tie) for each pair", Described(f"{odd[0]:g}"))
    tied = labels == 0
    agrees = ~tied & (np.sign(gaps) == labels)
    thresholds, size = np.unique(np.abs(gaps), return_inverse=True)
    ties = np.bincount(size[tied], minlength=len(thresholds))  # of each size
    signs = np.bincount(size[agrees], minlength=len(thresholds))
    correct = int(signs.sum()) + np.concatenate([[0], np.cumsum(ties - signs)])
    return PairAccuracy(len(labels), int((~tied).sum()), int(agrees.sum()), thresholds, correct)
