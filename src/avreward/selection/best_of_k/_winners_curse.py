"""The winner's curse: how much of a gain in one score remains in a second score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError
from avreward.selection.best_of_k.bootstrap import Bootstrap, Estimate
from avreward.selection.best_of_k.estimators import chosen_value, expected_best
from avreward.selection.candidates import CandidateTable, by_size, columns


@dataclass(frozen=True)
class HeldOut:
    """Gains of the best of `k` over one candidate, each in standard deviations within prompts.

    Attributes:
        k: number of candidates to choose from.
        own: by the score that chooses.
        second: by the other score.
        predicted: correlation times `own`, as expected by regression to the mean.
    """

    k: int
    own: Estimate
    second: Estimate
    predicted: Estimate


@dataclass(frozen=True)
class WinnersCurse:
    """The result of `winners_curse`.

    Attributes:
        second: the column of the second score.
        correlation: of both scores within prompts (Pearson's, pooled); NaN if one of them is constant.
        points: for k = 1 … largest number of candidates of a prompt.
        lacking: number of candidates that are left out, as they have no second score.
    """

    second: str
    correlation: Estimate
    points: tuple[HeldOut, ...]
    lacking: int


def winners_curse(
    pool: CandidateTable, second: str, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> WinnersCurse:
    """Compare the gain of best-of-k in a second score with that in the first, and with their correlation.

    The best candidate by a noisy score is, on average, worse than its score. With correlation r within prompts, and
    both scores in their standard deviations, a gain g in the first leaves r·g in the second (regression to the mean;
    Galton, "Regression towards mediocrity in hereditary stature", 1886). A smaller gain means that choosing exploits
    the first score; a larger one, that the scores agree better at the top than elsewhere.

    Args:
        pool: the candidates and the score to choose by; see `candidates_of`.
        second: a column that is not used for choosing.
        level: of the intervals, between 0 and 1.
        resamples: number of resamples of the prompts.
        seed: of the resampling.

    Raises:
        ArgumentError: if no candidate has the second score, or an argument is out of its range.
    """
    judged = pool.table.numbers(second)[pool.kept]
    there = np.isfinite(judged)
    if not there.any():
        raise ArgumentError("second", f"a column of {pool.table.path} with values", second, "pass another column")
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
    """Return, per prompt, the sums of dx², dy² and dx·dy around its means, and n − 1: (prompts, 4)."""
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    freedom = np.full(len(x), x.shape[1] - 1.0)
    return np.stack([(dx * dx).sum(1), (dy * dy).sum(1), (dx * dy).sum(1), freedom], axis=1)
