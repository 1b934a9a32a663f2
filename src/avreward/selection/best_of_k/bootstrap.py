"""Percentile intervals of means over prompts, from resampled prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError

AT_ONCE = 1 << 22  # numbers of the matrix of weights in memory


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    Attributes:
        value: the number.
        low: lower bound, `None` if unknown, as for a single prompt.
        high: upper bound, `None` if unknown.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bootstrap:
    """Percentile intervals from prompts resampled with replacement (Efron and Tibshirani 1993, chapter 13).

    All results use the same resamples, so statistics of several sums are paired.

    Args:
        prompts: number of prompts.
        level: of the intervals, between 0 and 1.
        resamples: number of resamples.
        seed: of the random generator.

    Raises:
        ArgumentError: if `level` or `resamples` is out of its range.
    """

    prompts: int
    level: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ArgumentError("level", "a number between 0 and 1", self.level, "pass 0.95, for example")
        if self.resamples < 1:
            raise ArgumentError("resamples", "an integer of at least 1", self.resamples, "pass 1000, for example")

    @property
    def tails(self) -> tuple[float, float]:
        """The two quantiles between which the interval lies."""
        return (1 - self.level) / 2, (1 + self.level) / 2

    def sums(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums of `table` (prompts, columns) over all prompts and over each resample.

        The result is (1 + resamples, columns), or (1, columns) for a single prompt.
        """
        plain = table.sum(axis=0, keepdims=True)
        if self.prompts < 2:
            return plain
        rng = np.random.default_rng(self.seed)
        share, step = np.full(self.prompts, 1 / self.prompts), max(1, AT_ONCE // self.prompts)
        sizes = [min(step, self.resamples - at) for at in range(0, self.resamples, step)]
        return np.concatenate([plain, *(rng.multinomial(self.prompts, share, size=size) @ table for size in sizes)])

    def means(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return means in the layout of `sums`, over the prompts that have a value; NaN where a resample has none."""
        there = np.isfinite(table)
        total, count = np.split(self.sums(np.concatenate([np.where(there, table, 0.0), there], axis=1)), 2, axis=1)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def estimate(self, drawn: NDArray[np.float64]) -> Estimate:
        """Return the interval of one column (1 + resamples,), whose first number is the estimate."""
        rest = drawn[1:][np.isfinite(drawn[1:])]
        if not len(rest) or not np.isfinite(drawn[0]):
            return Estimate(float(drawn[0]), None, None)
        low, high = np.quantile(rest, self.tails)
        return Estimate(float(drawn[0]), float(low), float(high))
