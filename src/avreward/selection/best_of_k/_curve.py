"""Best-of-N as a curve over a scored table: what choosing one of k is worth, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import AvrewardError
from avreward.selection.best_of_k._winners_curse import WinnersCurse, winners_curse
from avreward.selection.best_of_k.bootstrap import Bootstrap, Estimate
from avreward.selection.best_of_k.estimators import expected_best, kl_bound, win_rate
from avreward.selection.candidates import CandidateTable, by_size, columns


@dataclass(frozen=True)
class CurvePoint:
    """What choosing the best of `k` is worth, over the `prompts` that have as many candidates.

    Attributes:
        expected: the best one's reward.
        gain: by how much that is above one candidate's, of the same prompts.
        win_rate: probability to beat one more candidate, ties being half; `None` where no prompt has k + 1.
        kl_bound: in nats.
    """

    k: int
    prompts: int
    expected: Estimate
    gain: Estimate
    win_rate: Estimate | None
    kl_bound: float


@dataclass(frozen=True)
class SampleSize:
    """The smallest k whose gain is at least `gain`; `None` where no k in the pool is enough, or a bound isn't known."""

    gain: float
    k: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class BestOfKCurve:
    """What came out of `best_of_k_curve`.

    Attributes:
        reward: the column that chooses.
        rule: what clips of a prompt have in common.
        level: of the intervals.
        points: for k = 1 … largest pool.
        sizes: candidates of a prompt → how many prompts have as many.
        missing: why clips are left out → how many.
        tied: prompts in which several candidates share the highest reward; the earliest is chosen.
        needed: the k for the gain that was asked for, or `None`.
        curse: where a second score was named, or `None`.
    """

    reward: str
    rule: str
    level: float
    points: tuple[CurvePoint, ...]
    sizes: Mapping[int, int]
    missing: Mapping[str, int]
    tied: int
    needed: SampleSize | None
    curse: WinnersCurse | None

    @property
    def prompts(self) -> int:
        """How many prompts there are."""
        return sum(self.sizes.values())

    @property
    def candidates(self) -> int:
        """How many candidates there are."""
        return sum(size * count for size, count in self.sizes.items())


def best_of_k_curve(
    pool: CandidateTable,
    second: str | None = None,
    gain: float | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> BestOfKCurve:
    """Expected maximum, gain, win rate and bound for every k, with percentile intervals from resampled prompts.

    Pools may differ in size: each k is over the prompts with k candidates or more, and a gain compares the best of k
    with one candidate of those same prompts. Intervals are too narrow for fewer than about 20 prompts.

    Args:
        pool: see `candidates_of`.
        second: a column not used for choosing (*optional*): also the winner's curse; see `winners_curse`.
        gain: also find the k that this gain needs (*optional*), in the reward's unit, above 0.
        level: of the intervals, between 0 and 1.
        resamples, seed: of the bootstrap.

    >>> from avreward.scoring import read_table
    >>> from avreward.selection import candidates_of
    >>> found = best_of_k_curve(candidates_of(read_table("scores.parquet"), "signals.overall"), gain=2.0)
    >>> found.points[3].k, found.points[3].gain, found.needed.k
    (4, Estimate(value=4.98..., low=4.35..., high=5.58...), 2)
    """
    if gain is not None and not (math.isfinite(gain) and gain > 0):
        raise AvrewardError(f"gain: {gain}; pass a number above 0, in the reward's unit")
    sized = by_size(pool.group[pool.kept], pool.values[pool.kept])
    best = columns([(which, expected_best(x)) for which, x in sized])
    wins = columns([(which, win_rate(x)) for which, x in sized])
    draw = Bootstrap(len(best), level, resamples, seed)
    width = best.shape[1]
    drawn = draw.means(np.concatenate([best, best - best[:, :1], wins], axis=1))
    expected, gains, rates = np.split(drawn, [width, 2 * width], axis=1)
    there = np.isfinite(best)
    points = tuple(
        CurvePoint(
            k + 1,
            int(there[:, k].sum()),
            draw.estimate(expected[:, k]),
            draw.estimate(gains[:, k]),
            draw.estimate(rates[:, k]) if k < rates.shape[1] else None,
            kl_bound(k + 1),
        )
        for k in range(best.shape[1])
    )
    return BestOfKCurve(
        pool.reward,
        pool.rule,
        level,
        points,
        dict(sorted(Counter(there.sum(axis=1).tolist()).items())),
        pool.missing,
        sum(int(((x == x.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()) for _, x in sized),
        None if gain is None else _needed(gain, gains, draw),
        None if second is None else winners_curse(pool, second, level, resamples, seed),
    )


def _needed(gain: float, gains: NDArray[np.float64], draw: Bootstrap) -> SampleSize:
    width = gains.shape[1]
    enough = gains >= gain  # False for NaN: a resample without a prompt of that size
    first = np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, width + 1)
    bounds = np.quantile(first[1:], draw.tails, method="nearest") if len(first) > 1 else (width + 1, width + 1)
    k, low, high = (int(at) if at <= width else None for at in (first[0], *bounds))
    return SampleSize(gain, k, low, high)
