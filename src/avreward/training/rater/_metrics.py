"""How well scores agree with ratings and choices, after each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avreward.evaluation import krcc, pair_accuracy, plcc, srcc

Table = NDArray[np.float64]


def rating_metrics(scores: Table, ratings: Table, dimensions: Sequence[str]) -> dict[str, float]:
    """Return SRCC, PLCC, KRCC, RMSE (after the best line) and accuracy on all pairs, of each dimension and in mean.

    Args:
        scores: (clips, dimensions).
        ratings: (clips, dimensions) NaN where unknown.
        dimensions: their names.
    """
    found: dict[str, dict[str, float]] = {}
    for column, name in enumerate(dimensions):
        known = ~np.isnan(ratings[:, column])
        own, truth = scores[known, column], ratings[known, column]
        if len(own) < 2:
            continue
        first, second = np.triu_indices(len(own), 1)
        order = np.sign(truth[first] - truth[second])
        agree = pair_accuracy(order, own[first] - own[second]).without_ties
        found[name] = {
            "srcc": srcc(own, truth),
            "plcc": plcc(own, truth),
            "krcc": krcc(own, truth),
            "rmse": _rmse(own, truth),
            "pair_accuracy": math.nan if agree is None else agree,
        }
    return _flat(found)


def pair_metrics(differences: Table, outcomes: Table, dimensions: Sequence[str]) -> dict[str, float]:
    """Return the accuracy on decided pairs, and with ties at the best threshold, of each dimension and in mean.

    Args:
        differences: first's score − second's, (pairs, dimensions).
        outcomes: (pairs, dimensions) 1, 0, −1, NaN where unknown.
        dimensions: their names.
    """
    found: dict[str, dict[str, float]] = {}
    for column, name in enumerate(dimensions):
        known = ~np.isnan(outcomes[:, column])
        if known.any():
            result = pair_accuracy(outcomes[known, column], differences[known, column])
            decided = result.without_ties
            found[name] = {"pair_accuracy": math.nan if decided is None else decided}
            found[name]["pair_accuracy_with_ties"] = result.with_ties
    return _flat(found)


def _flat(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric under its name, and that of a dimension under METRIC/DIMENSION."""
    flat: dict[str, float] = {}
    for metric in dict.fromkeys(metric for own in found.values() for metric in own):
        values = [own[metric] for own in found.values()]
        flat[metric] = float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
        if len(found) > 1:
            flat |= {f"{metric}/{name}": own[metric] for name, own in found.items()}
    return flat


def _rmse(scores: Table, truth: Table) -> float:
    """Return the root mean square error after the line that fits best."""
    if np.ptp(scores) == 0:
        return float(truth.std())
    slope, start = np.polyfit(scores, truth, 1)
    return float(np.sqrt(np.mean((slope * scores + start - truth) ** 2)))
