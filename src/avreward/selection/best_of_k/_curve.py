"""The value of best-of-k as a curve over k, with intervals, from a scored table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError
from avreward.selection.best_of_k._winners_curse import WinnersCurse, winners_curse
from avreward.selection.best_of_k.bootstrap import Bootstrap, Estimate
from avreward.selection.best_of_k.estimators import expected_best, kl_bound, win_rate
from avreward.selection.candidates import CandidateTable, by_size, columns


@dataclass(frozen=True)
class CurvePoint:
    """The value of the best of `k`, over the prompts with at least `k` candidates.

    Attributes:
        k: number of candidates to choose from.
        prompts: number of prompts with at least `k` candidates.
        expected: the reward of the best candidate.
        gain: of the best candidate over a single one, for the same prompts.
        win_rate: probability of beating one more candidate, with ties as half; `None` if no prompt has k + 1.
        kl_bound: in nats; see the function `kl_bound`.
    """

    k: int
    prompts: int
    expected: Estimate
    gain: Estimate
    win_rate: Estimate | None
    kl_bound: float


@dataclass(frozen=True)
class SampleSize:
    """The smallest k whose gain is at least `gain`.

    Attributes:
        gain: the gain that was asked for.
        k: the smallest number of candidates, `None` if no k in the table is enough.
        low: lower bound of the interval, `None` if unknown.
        high: upper bound of the interval, `None` if unknown.
    """

    gain: float
    k: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class BestOfKCurve:
    """The result of `best_of_k_curve`.

    Attributes:
        reward: the column to choose by.
        rule: what the clips of a prompt have in common.
        level: of the intervals.
        points: for k = 1 … largest number of candidates of a prompt.
        sizes: number of candidates of a prompt → number of such prompts.
        missing: reason → number of clips that are left out for it.
        tied: number of prompts in which several candidates share the highest reward; the earliest is chosen.
        needed: the k for the gain that was asked for, or `None`.
        curse: the winner's curse, if a second score was named.
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
        """Number of prompts."""
        return sum(self.sizes.values())

    @property
    def candidates(self) -> int:
        """Number of candidates."""
        return sum(size * count for size, count in self.sizes.items())


def best_of_k_curve(
    pool: CandidateTable,
    second: str | None = None,
    gain: float | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> BestOfKCurve:
    """Estimate the expected reward, gain and win rate of best-of-k for every k, with intervals.

    Prompts may have different numbers of candidates: each k uses the prompts with at least k, and a gain compares the
    best of k with a single candidate of the same prompts. Intervals are percentiles over resampled prompts, and too
    narrow for fewer than about 20 prompts.

    Args:
        pool: see `candidates_of`.
        second: a column not used for choosing (*optional*), to estimate the winner's curse; see `winners_curse`.
        gain: also find the k needed for this gain (*optional*), in the reward's unit, above 0.
        level: of the intervals, between 0 and 1.
        resamples: number of resamples of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ArgumentError: if an argument is out of its range, or no candidate has the second score.

    Example:
        >>> from avreward.scoring import read_table
        >>> from avreward.selection import candidates_of
        >>> found = best_of_k_curve(candidates_of(read_table("scores.parquet"), "signals.overall"), gain=2.0)
        >>> found.points[3].k, found.points[3].gain, found.needed.k
        (4, Estimate(value=4.98..., low=4.35..., high=5.58...), 2)
    """
    if gain is not None and not (math.isfinite(gain) and gain > 0):
        raise ArgumentError("gain", "a number above 0 in the reward's unit", gain)
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
