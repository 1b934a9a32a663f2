"""Match pairs in covariates that a trainer could learn instead of quality: length, loudness, motion, size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.scoring.table_reader import ScoredTable

Numbers = NDArray[np.float64]

# The largest difference between the clips of a pair: a share of the value, for loudness in LU.
TOLERANCES = {"seconds": 0.05, "loudness": 1.0, "motion": 0.25, "size": 0.01}
MOTION_FLOOR = 0.1  # % of the range per second; less counts as still
LEVELS = 5  # far below, below, equal, above, far above


@dataclass(frozen=True, eq=False)
class Covariate:
    """A property in which the clips of a pair should be similar.

    Attributes:
        name: one of `TOLERANCES`.
        values: float64 (rows,), on a scale of differences: logarithms, or LUFS. NaN where missing.
        tolerance: the largest difference.
    """

    name: str
    values: Numbers
    tolerance: float

    def difference(self, chosen: NDArray[np.int64], rejected: NDArray[np.int64]) -> Numbers:
        """Return (pairs,) chosen minus rejected; 0 where neither has a value, infinite where one has none."""
        one, other = self.values[chosen], self.values[rejected]
        apart = one - other
        lacking = np.isnan(apart)
        return np.where(lacking, np.where(np.isnan(one) & np.isnan(other), 0.0, np.inf), apart)


def covariates_of(table: ScoredTable, match: Mapping[str, float | None]) -> list[Covariate]:
    """Return the covariates to match on.

    Args:
        table: see `read_table`.
        match: ``seconds``, ``loudness``, ``motion``, ``size`` → tolerance (a share; for loudness LU), or `None` for the
            default of `TOLERANCES`.

    Raises:
        UnknownNameError: if a covariate is unknown.
        ArgumentError: if a tolerance is below 0, or no clip has a value of a covariate.
    """
    found = []
    for name, wanted in match.items():
        if name not in TOLERANCES:
            raise unknown_name("match", name, TOLERANCES)
        tolerance = TOLERANCES[name] if wanted is None else wanted
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise ArgumentError("match", f"a tolerance of at least 0 for {name}", tolerance)
        columns = ("width", "height") if name == "size" else (name,)
        parts = [table.numbers(column) for column in columns]
        values = _scaled(name, parts)
        if not np.isfinite(values).any():
            got = Described(f"{name} without a value in {' or '.join(columns)} of {table.path}")
            remedy = "score again with the rater signals, which measures it, or match other covariates"
            raise ArgumentError("match", "covariates with values", got, remedy)
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
    """Return which pairs to keep so that chosen exceeds rejected as often as the reverse, in all covariates jointly.

    Within a tolerance the better clip may still mostly be the louder one. So the differences of each pair are sorted
    into cells (far below, below, equal, above, far above, for each covariate; far is beyond half the tolerance), and
    equally many pairs of a cell and its mirror image are kept. The result looks the same with chosen and rejected
    swapped.

    Args:
        covariates: see `covariates_of`.
        chosen: int64 (pairs,) rows of the table.
        rejected: int64 (pairs,) rows of the table.
        rank: int64 (pairs,) an order that is independent of quality; if a cell has too many pairs, the first are kept.
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
    number[order] = np.arange(len(chosen)) - first[which[order]]  # position of the pair within its cell
    return number < allowed


def leaks(
    covariates: Sequence[Covariate], chosen: NDArray[np.int64], rejected: NDArray[np.int64], group: NDArray[np.int64]
) -> dict[str, float]:
    """Return how often the covariates alone separate chosen from rejected; 0.5 is chance.

    For each covariate, it is the share of the differing pairs in which the chosen clip has the larger value;
    ``together`` is the share that a logistic model of all differences predicts correctly in groups that it was not
    fitted to (every other group, in both directions). NaN if no pair differs.

    Args:
        covariates: see `covariates_of`.
        chosen: int64 (pairs,) rows of the table.
        rejected: int64 (pairs,) rows of the table.
        group: int64 (pairs,) the group of each pair.
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
    predicted = np.concatenate([table[~half] @ _logistic(table[half]), table[half] @ _logistic(table[~half])])
    predicted = predicted[predicted != 0]
    return float((predicted > 0).mean()) if len(predicted) else math.nan


def _logistic(table: Numbers, steps: int = 25) -> Numbers:
    """Fit weights (columns,) of a logistic model of σ(weights · difference), by Newton's method with a penalty."""
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
