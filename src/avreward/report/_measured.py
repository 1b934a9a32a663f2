"""Measurements behind the scores, from raters with an `explain` method, with their costs in points and time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.report.data import MeasurementView

NAMED = 3  # measurements that a candidate's line of reasons names
WORTH_NAMING = 1.0  # points


def measured(clip: Clip, raters: Iterable[Rater], scores: Mapping[str, Scores], row: int) -> list[MeasurementView]:
    """Return the measurements of `clip`, grouped by dimension, the costliest first.

    A rater's ``explain(clip)`` returns rows with `name`, `value` and, all *optional*, `unit`, `cost_ms`, `source`,
    `higher_is_better`, `feeds` (the dimension that it is part of), `penalty` (its share of the points which that
    dimension lost) and `note` (why the value is missing).

    Args:
        clip: a candidate.
        raters: the raters that rated it.
        scores: rater's name → scores of all candidates.
        row: the candidate's row in the scores.
    """
    found: list[MeasurementView] = []
    for rater in raters:
        explain: Callable[[Clip], Iterable[Any]] | None = getattr(rater, "explain", None)
        if explain is None:
            continue
        try:
            rows = list(explain(clip))
        except AvrewardError as error:  # the file was removed since it was ranked: the page is written without
            found.append(MeasurementView(rater.name, None, note=str(error)))
            continue
        found += _with_points(rows, scores[rater.name], row)
    return found


def costliest(measurements: Sequence[MeasurementView], dimensions: Collection[str]) -> list[MeasurementView]:
    """Return the few measurements of `dimensions` that cost most: the reasons for a low reward."""
    fed = [m for m in measurements if m.feeds in dimensions and m.points is not None and m.points >= WORTH_NAMING]
    return sorted(fed, key=lambda m: -(m.points or 0.0))[:NAMED]


def _with_points(rows: Sequence[Any], scores: Scores, row: int) -> list[MeasurementView]:
    """Divide the points that each dimension lost (its top minus its score) among its measurements, by penalty."""
    total: dict[str, float] = defaultdict(float)
    for explained in rows:
        total[getattr(explained, "feeds", None) or ""] += getattr(explained, "penalty", None) or 0.0
    measurements = []
    for explained in rows:
        feeds, penalty = getattr(explained, "feeds", None) or "", getattr(explained, "penalty", None)
        measurement = replace(_plain(explained), feeds=feeds)
        if penalty is not None and feeds in scores.names and total[feeds] > 0:
            column = scores.column(feeds)
            if scores.present[row, column]:
                lost = scores.dimensions[column].high - float(scores.values[row, column].detach())
                measurement = replace(measurement, points=lost * penalty / total[feeds], penalty=float(penalty))
        measurements.append(measurement)
    order = {name: place for place, name in enumerate(scores.names)}
    return sorted(measurements, key=lambda m: (order.get(m.feeds, len(order)), -(m.points or 0.0)))


def _plain(explained: Any) -> MeasurementView:
    value = explained.value
    known = value is not None and math.isfinite(float(value))
    return MeasurementView(
        name=explained.name,
        value=float(value) if known else None,
        unit=getattr(explained, "unit", ""),
        cost_ms=getattr(explained, "cost_ms", None),
        source=getattr(explained, "source", ""),
        better={True: "higher", False: "lower", None: ""}[getattr(explained, "higher_is_better", None)],
        note="" if known else getattr(explained, "note", "") or "nothing to measure",
    )
