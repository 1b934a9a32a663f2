"""The winner's curse: what is left, in the eyes of a second rater, of the gain that the first one saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import AvrewardError
from avreward.selection.best_of_k.bootstrap import Bootstrap, Estimate
from avreward.selection.best_of_k.estimators import chosen_value, expected_best
from avreward.selection.candidates import CandidateTable, by_size, columns


@dataclass(frozen=True)
class HeldOut:
    """Gains of the best of `k` over one candidate, each in standard deviations within prompts.

    Attributes:
        own: by the score that chose.
        second: by the other score.
        predicted: correlation times `own`: what regression to the mean leaves.
    """

    k: int
    own: Estimate
    second: Estimate
    predicted: Estimate


@dataclass(frozen=True)
class WinnersCurse:
    """What came out of `winners_curse`.

    Attributes:
        second: the column of the second score.
        correlation: of both scores within prompts (Pearson's, pooled); NaN where one of them is constant.
        points: for k = 1 … largest pool.
        lacking: candidates without the second score; they are left out here.
    """

    second: str
    correlation: Estimate
    points: tuple[HeldOut, ...]
    lacking: int


def winners_curse(
    pool: CandidateTable, second: str, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> WinnersCurse:
    """The chosen one's score under a second rater against the first, beside what their correlation predicts.

    Whoever is best by a noisy score is, on average, less good than it says. With correlation r within prompts, and both
    scores in their standard deviations, a gain g in the first leaves r·g in the second (regression to the mean; Galton,
    "Regression towards mediocrity in hereditary stature", 1886). Less than that says that choosing exploits the first
    score; more, that the scores agree better at the top than elsewhere.

    Args:
        pool: who is chosen among, and by which score; see `pool_of`.
        second: a column that plays no part in choosing.
        level, resamples, seed: see `Bootstrap`; whole prompts are resampled.

    Raises `AvrewardError` where no candidate has the second score.
    """
    judged = pool.table.numbers(second)[pool.kept]
    there = np.isfinite(judged)
    if not there.any():
        raise AvrewardError(f"{pool.table.path}: no candidate has a value under {second}; name another second score")
    group, first = pool.group[pool.kept][there], pool.values[pool.kept][there]
    pairs = [
        (which, x, y) for (which, x), (_, y) in zip(by_size(group, first), by_size(group, judged[there]), strict=True)
    ]
    own = columns([(which, expected_best(x)) for which, x, _ in pairs])
    held = columns([(which, chosen_value(x, y)) for which, x, y in pairs])
    spread = columns([(which, _spread(x, y)) for which, x, y in pairs])
    draw = Bootstrap(len(own), level, resamples, seed)
    sums = draw.sums(spread)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN for constant scores, and pools of one
        sd = np.sqrt(sums[:, :2] / sums[:, 3:])
        r = sums[:, 2] / np.sqrt(sums[:, 0] * sums[:, 1])
        gains = draw.means(np.concatenate([own - own[:, :1], held - held[:, :1]], axis=1))
        own_gain, held_gain = (part / sd[:, [i]] for i, part in enumerate(np.split(gains, 2, axis=1)))
    points = tuple(
        HeldOut(k + 1, *(draw.estimate(drawn) for drawn in (own_gain[:, k], held_gain[:, k], r * own_gain[:, k])))
        for k in range(own.shape[1])
    )
    return WinnersCurse(second, draw.estimate(r), points, int((~there).sum()))


def _spread(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each prompt the sums of dx², dy² and dx·dy around its means, and n − 1: (prompts, 4)."""
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    freedom = np.full(len(x), x.shape[1] - 1.0)
    return np.stack([(dx * dx).sum(1), (dy * dy).sum(1), (dx * dy).sum(1), freedom], axis=1)
