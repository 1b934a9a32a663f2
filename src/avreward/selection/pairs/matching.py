"""Pairs that differ in quality and not in what a trainer could learn instead: length, loudness, motion, size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import AvrewardError
from avreward.scoring.table_reader import ScoredTable

Numbers = NDArray[np.float64]

# How far two clips of a pair may be apart: a share of the value, but for loudness, which is in LU.
TOLERANCES = {"seconds": 0.05, "loudness": 1.0, "motion": 0.25, "size": 0.01}
MOTION_FLOOR = 0.1  # % of the range a second: less is stillness
LEVELS = 5  # far below, below, equal, above, far above


@dataclass(frozen=True, eq=False)
class Covariate:
    """What is to be alike.

    Attributes:
        name: one of `TOLERANCES`.
        values: float64 (rows,), on a scale on which differences count: logarithms, or LUFS. NaN where there is none.
        tolerance: the largest difference.
    """

    name: str
    values: Numbers
    tolerance: float

    def difference(self, chosen: NDArray[np.int64], rejected: NDArray[np.int64]) -> Numbers:
        """(pairs,) chosen less rejected; 0 where neither has a value, infinite where one has none."""
        one, other = self.values[chosen], self.values[rejected]
        apart = one - other
        lacking = np.isnan(apart)
        return np.where(lacking, np.where(np.isnan(one) & np.isnan(other), 0.0, np.inf), apart)


def covariates_of(table: ScoredTable, match: Mapping[str, float | None]) -> list[Covariate]:
    """The covariates to match on.

    Args:
        table: see `read_table`.
        match: ``seconds``, ``loudness``, ``motion``, ``size`` → tolerance (a share; for loudness LU), or `None` for the
            usual one of `TOLERANCES`.

    Raises `AvrewardError` for another name, a tolerance below 0, and a covariate that no clip has.
    """
    found = []
    for name, wanted in match.items():
        if name not in TOLERANCES:
            raise AvrewardError(f"match: {name!r} is unknown; pass one of {', '.join(TOLERANCES)}")
        tolerance = TOLERANCES[name] if wanted is None else wanted
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise AvrewardError(f"match: the tolerance {tolerance} of {name}; pass a number of 0 or more")
        columns = ("width", "height") if name == "size" else (name,)
        parts = [table.numbers(column) for column in columns]
        values = _scaled(name, parts)
        if not np.isfinite(values).any():
            remedy = "score again with the rater signals, which measures it, or match on something else"
            raise AvrewardError(f"{table.path}: no clip has a value under {' and '.join(columns)}; {remedy}")
        found.append(Covariate(name, values, tolerance if name == "loudness" else math.log1p(tolerance) + 1e-12))
    return found


def _scaled(name: str, parts: Sequence[Numbers]) -> Numbers:
    if name == "loudness":
        return parts[0]
    if name == "motion":
        return np.log(np.maximum(parts[0], 0) + MOTION_FLOOR)
    product = np.prod(parts, axis=0)
    return np.log(product, out=np.full_like(product, np.nan), where=product > 0)


def mirrored(
    covariates: Sequence[Covariate], chosen: NDArray[np.int64], rejected: NDArray[np.int64], rank: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which pairs to keep so that in every covariate, and jointly, chosen exceeds rejected as often as the reverse.

    Within a tolerance the better one may still mostly be the louder one. So each pair's differences are sorted into
    cells (far below, below, equal, above, far above, of each covariate; far is beyond half the tolerance), and of a
    cell and its mirror image equally many are kept. What is left looks the same with chosen and rejected swapped.

    Args:
        covariates: see `covariates_of`.
        chosen, rejected: int64 (pairs,) rows of the table.
        rank: int64 (pairs,) any order that has nothing to do with quality; of too many, the first stay.
    """
    cell, mirror = np.zeros(len(chosen), dtype=np.int64), np.zeros(len(chosen), dtype=np.int64)
    for covariate in covariates:
        apart = covariate.difference(chosen, rejected)
        level = (np.sign(apart) * np.where(np.abs(apart) > covariate.tolerance / 2, 2, 1)).astype(np.int64)
        cell, mirror = cell * LEVELS + (level + 2), mirror * LEVELS + (2 - level)
    cells, which, count = np.unique(cell, return_inverse=True, return_counts=True)
    place = np.minimum(np.searchsorted(cells, mirror), len(cells) - 1)
    allowed = np.where(cells[place] == mirror, np.minimum(count[which], count[place]), 0)
    order = np.lexsort((rank, which))
    first = np.cumsum(count) - count
    number = np.empty(len(chosen), dtype=np.int64)
    number[order] = np.arange(len(chosen)) - first[which[order]]  # of the pair within its cell
    return number < allowed


def leaks(
    covariates: Sequence[Covariate], chosen: NDArray[np.int64], rejected: NDArray[np.int64], group: NDArray[np.int64]
) -> dict[str, float]:
    """How often the covariates alone tell chosen from rejected: 0.5 is chance.

    For each, the share of the pairs that differ in which the chosen one has more; and ``together``, the share that a
    logistic model of all differences gets right in groups that it was not fitted to (every other group, both ways).
    NaN where no pair differs. `group` (pairs,) says which pairs belong together.
    """
    table = np.stack([covariate.difference(chosen, rejected) for covariate in covariates], axis=1)
    table = np.where(np.isfinite(table), table, 0.0)
    up, down = (table > 0).sum(axis=0), (table < 0).sum(axis=0)
    found = {
        covariate.name: float(more / (more + less)) if more + less else math.nan
        for covariate, more, less in zip(covariates, up, down, strict=True)
    }
    if len(covariates) > 1:
        found["together"] = _together(table, group)
    return found


def _together(table: Numbers, group: NDArray[np.int64]) -> float:
    spread = np.sqrt((table * table).mean(axis=0))
    table = table[:, spread > 0] / spread[spread > 0]
    half = group % 2 == 0
    told = np.concatenate([table[~half] @ _logistic(table[half]), table[half] @ _logistic(table[~half])])
    told = told[told != 0]
    return float((told > 0).mean()) if len(told) else math.nan


def _logistic(table: Numbers, steps: int = 25) -> Numbers:
    """Weights (columns,) so that σ(weights · difference) is likely near 1: Newton's method, lightly regularized."""
    weights = np.zeros(table.shape[1])
    for _ in range(steps if len(table) else 0):
        share = 1 / (1 + np.exp(-np.clip(table @ weights, -30, 30)))
        slope = table.T @ (1 - share) - weights
        bend = (table * (share * (1 - share))[:, None]).T @ table + np.eye(table.shape[1])
        step = np.linalg.solve(bend, slope)
        weights = weights + step
        if np.abs(step).max(initial=0.0) < 1e-8:
            break
    return weights
