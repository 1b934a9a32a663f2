"""How sure a mean over prompts is: percentile intervals from resampled prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import AvrewardError

AT_ONCE = 1 << 22  # numbers of the matrix of weights in memory


@dataclass(frozen=True)
class Estimate:
    """A number and its interval; the bounds are `None` where they can't be told, as from a single prompt."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bootstrap:
    """Resamples prompts with replacement, and takes percentiles (Efron and Tibshirani 1993, chapter 13).

    The same resamples serve all that is asked, so what is computed from several sums stays paired.

    Args:
        prompts: how many there are.
        level: of the intervals, between 0 and 1.
        resamples: how many.
        seed: of the generator.
    """

    prompts: int
    level: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise AvrewardError(f"level: {self.level} is no probability; pass a number between 0 and 1, such as 0.95")
        if self.resamples < 1:
            raise AvrewardError(f"resamples: {self.resamples}; pass 1 or more, such as 1000")

    @property
    def tails(self) -> tuple[float, float]:
        """The two quantiles between which the interval lies."""
        return (1 - self.level) / 2, (1 + self.level) / 2

    def sums(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the prompts of `table` (prompts, columns), and of each resample: (1 + resamples, columns).

        Of a single prompt there are no resamples: (1, columns).
        """
        plain = table.sum(axis=0, keepdims=True)
        if self.prompts < 2:
            return plain
        rng = np.random.default_rng(self.seed)
        share, step = np.full(self.prompts, 1 / self.prompts), max(1, AT_ONCE // self.prompts)
        sizes = [min(step, self.resamples - at) for at in range(0, self.resamples, step)]
        return np.concatenate([plain, *(rng.multinomial(self.prompts, share, size=size) @ table for size in sizes)])

    def means(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means as `sums`, of each column over the prompts that have a value there; NaN where a resample has none."""
        there = np.isfinite(table)
        total, count = np.split(self.sums(np.concatenate([np.where(there, table, 0.0), there], axis=1)), 2, axis=1)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def estimate(self, drawn: NDArray[np.float64]) -> Estimate:
        """The interval of one column (1 + resamples,), the first being the plain number."""
        rest = drawn[1:][np.isfinite(drawn[1:])]
        if not len(rest) or not np.isfinite(drawn[0]):
            return Estimate(float(drawn[0]), None, None)
        low, high = np.quantile(rest, self.tails)
        return Estimate(float(drawn[0]), float(low), float(high))
