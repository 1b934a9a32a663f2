"""How often scores agree with people who compared two items, with and without ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avreward.evaluation.correlation import Numbers, numbers_of

WANTED = (-1.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class PairAccuracy:
    """What came out of `pair_accuracy`.

    Attributes:
        pairs: how many there are.
        decided: how many of them people decided.
        right: how many of the decided ones the sign of the difference gets right; a difference of 0 never is.
        thresholds: float64 (t,) every distinct size of a difference, rising: only these tie bands can matter.
        correct: int64 (t + 1,) correct pairs without a tie band, then with the band of each threshold.
    """

    pairs: int
    decided: int
    right: int
    thresholds: NDArray[np.float64]
    correct: NDArray[np.int64]

    @property
    def with_ties(self) -> float:
        """Share of all pairs that the best tie band gets right, in [0, 1]."""
        return int(self.correct.max()) / self.pairs

    @property
    def without_ties(self) -> float | None:
        """Share of the decided pairs that are right, in [0, 1]; `None` where people decided none."""
        return self.right / self.decided if self.decided else None

    @property
    def threshold(self) -> float | None:
        """The narrowest of the best tie bands: a pair whose difference is no larger is called a tie.

        `None` where no band at all is as good.
        """
        return self.best_thresholds[0]

    @property
    def best_thresholds(self) -> list[float | None]:
        """All tie bands that get as many pairs right as the best, narrowest first; `None` is no band."""
        bands: list[float | None] = [None, *self.thresholds.tolist()]
        return [bands[i] for i in np.flatnonzero(self.correct == self.correct.max())]


def pair_accuracy(human: Sequence[int] | NDArray[Any] | Tensor, difference: Numbers) -> PairAccuracy:
    """Pairwise accuracy with and without ties; exact, and the order of the pairs makes no difference.

    With ties: for a threshold t, a pair is called a tie where ``|difference| ≤ t``, else the sign decides; the accuracy
    is the share of all pairs that is right at the best t (Deutsch, Foster and Freitag, "Ties matter", EMNLP 2023, as
    VideoGen-RewardBench uses it, arXiv:2501.13918). All pairs of one size change over together, so equal differences
    are never judged half-way through, as they are by the routine published with that benchmark. No band at all is among
    the choices; a difference of 0 then is wrong whatever people said. Without ties: pairs that people called a tie
    are left out.

    It takes O(n log n) time for n pairs, for one sort.

    Args:
        human: (pairs,) 1 where people prefer the first, −1 the second, 0 a tie.
        difference: (pairs,) the score of the first less that of the second; finite.

    Raises `ValueError` for no pairs, other shapes, other labels and differences that are not finite.

    >>> found = pair_accuracy([1, -1, 0, 1], [0.8, -0.3, 0.1, -0.1])
    >>> found.with_ties, found.threshold, round(found.without_ties, 3)
    (0.75, 0.1, 0.667)
    """
    labels, gaps = numbers_of("human", human), numbers_of("difference", difference)
    if len(labels) != len(gaps):
        raise ValueError(f"difference: {len(gaps)} values for {len(labels)} pairs; pass one each")
    if not len(labels):
        raise ValueError("human: no pairs; pass at least one")
    odd = labels[~np.isin(labels, WANTED)]
    if len(odd):
        raise ValueError(f"human: {odd[0]:g} is no label; pass 1 (first), -1 (second) or 0 (tie)")
    tied = labels == 0
    agrees = ~tied & (np.sign(gaps) == labels)
    thresholds, size = np.unique(np.abs(gaps), return_inverse=True)
    ties = np.bincount(size[tied], minlength=len(thresholds))  # of each size
    signs = np.bincount(size[agrees], minlength=len(thresholds))
    correct = int(signs.sum()) + np.concatenate([[0], np.cumsum(ties - signs)])
    return PairAccuracy(len(labels), int((~tied).sum()), int(agrees.sum()), thresholds, correct)
