"""Evaluate a rater's scores against people's judgments: the tables of the papers, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from avreward._display import SHOWN, Shown, ShownAsTable, counted
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.evaluation._cluster_bootstrap import Rows, clustered_intervals, numbered
from avreward.evaluation._judged_clips import CHOICES, CORRELATIONS, choices, correlations
from avreward.evaluation._pair_accuracy import pair_accuracy

PAIRS = ("accuracy_with_ties", "accuracy_without_ties")
WANTED = {"first": 1.0, "second": -1.0, "tie": 0.0}
RESAMPLES = 1000


class JudgedRows(Protocol):
    """What `avreward.datasets.read_corpus` returns."""

    @property
    def kind(self) -> str:
        """``"scores"`` or ``"pairs"``."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A mapping a row."""

    @property
    def dimensions(self) -> Sequence[str]:
        """The names of the dimensions."""


@dataclass(frozen=True)
class RaterMetric:
    """One number of an evaluation.

    Attributes:
        dimension: of the judgments.
        score: the column of scores.
        category: ``""`` for all.
        metric: its name.
        value: NaN where it is undefined.
        low: the lower end of the interval; NaN with one content.
        high: the upper end.
        items: how many clips, pairs or groups it is about.
        contents: how many prompts or videos.
    """

    dimension: str
    score: str
    category: str
    metric: str
    value: float
    low: float
    high: float
    items: int
    contents: int


@dataclass(frozen=True, eq=False, repr=False)
class RaterEvaluation(ShownAsTable):
    """The result of `evaluate_judgments`.

    Attributes:
        kind: ``"scores"`` or ``"pairs"``.
        metrics: all numbers.
        chance: dimension → the accuracy of guessing the best of a group.
        left_out: clips without a score.
        level: of the intervals.
        notes: remarks, one sentence each.
    """

    kind: str
    metrics: tuple[RaterMetric, ...]
    chance: Mapping[str, float]
    left_out: tuple[str, ...]
    level: float
    notes: tuple[str, ...]

    def get(self, dimension: str, metric: str, category: str = "") -> RaterMetric | None:
        """Return one number, or `None` if it was not asked for."""
        key = (dimension, metric, category)
        return next((one for one in self.metrics if (one.dimension, one.metric, one.category) == key), None)

    def to_frame(self) -> Any:
        """Return a data frame with a row a number."""
        import pandas

        return pandas.DataFrame([vars(one) for one in self.metrics])

    def _shown(self) -> Shown:
        rows = ([m.dimension, m.category, m.metric, m.value, m.low, m.high, m.items] for m in self.metrics[:SHOWN])
        columns = ["dimension", "category", "metric", "value", "low", "high", "items"]
        return f"{counted(len(self.metrics), 'number')} against people", columns, rows, len(self.metrics)


def evaluate_judgments(
    judged: JudgedRows,
    scores: Callable[[str, str], float | None],
    against: Mapping[str, str],
    *,
    lower: Sequence[str] = (),
    by: str | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> RaterEvaluation:
    """Return how far scores agree with people's judgments.

    Of clips with scores by people: SRCC, KRCC, PLCC, PLCC and RMSE after a logistic curve fitted to all clips, RMSE as
    it is; and within each content (the clips of one prompt or video), the share of pairs in the right order
    (``pair_accuracy``) and how often the best clip is chosen (``best_of_group``). Of pairs: accuracy with and without
    ties (see `pair_accuracy`). Intervals are bootstrapped by content (`RESAMPLES` resamples).

    Args:
        judged: what people said; see `avreward.datasets.read_corpus`. Rows without ``group`` are contents of their own.
        scores: (clip, column) → a number, or `None` or NaN where there is none.
        against: dimension of the judgments → column of scores.
        lower: columns of which less is better.
        by: a key of the rows, such as ``category`` or ``system``; accuracies and correlations for each value, too.
        level: of the intervals.
        seed: of the resamples.

    Raises:
        ArgumentError: for an unknown dimension or key, or if no row has both a score and a judgment.

    Example:
        >>> from types import SimpleNamespace
        >>> rows = [{"clip": f"{i}", "group": i % 3, "overall": i + i % 2} for i in range(9)]
        >>> judged = SimpleNamespace(kind="scores", rows=rows, dimensions=("overall",))
        >>> found = evaluate_judgments(judged, lambda clip, column: float(clip), {"overall": "toy"})
        >>> round(found.get("overall", "srcc").value, 3)
        0.983
    """
    if not 0 < level < 1:
        raise ArgumentError("level", "a number between 0 and 1", level)
    if by is not None and not any(row.get(by) not in (None, "") for row in judged.rows):
        keys = dict.fromkeys(key for row in judged.rows for key in row if key not in judged.dimensions)
        raise unknown_name("by", by, keys)
    metrics: list[RaterMetric] = []
    chance: dict[str, float] = {}
    notes: list[str] = []
    left_out: dict[str, None] = {}
    for dimension, column in against.items():
        if dimension not in judged.dimensions:
            raise unknown_name("dimension", dimension, judged.dimensions)
        sign = -1.0 if column in lower else 1.0
        taken = [row for row in judged.rows if row.get(dimension) is not None]
        values = [_value(row, judged.kind, scores, column) for row in taken]
        for row, value in zip(taken, values, strict=True):
            if math.isnan(value):
                names = ("first", "second") if judged.kind == "pairs" else ("clip",)
                left_out |= dict.fromkeys(str(row[n]) for n in names if _missing(scores(str(row[n]), column)))
        kept = [(row, sign * value) for row, value in zip(taken, values, strict=True) if not math.isnan(value)]
        if not kept:
            got = Described(f"no {judged.kind[:-1]} with both" if taken else "no judgments")
            raise ArgumentError(f"dimension {dimension}", f"judgments and scores in {column}", got, "check the paths")
        for category in ["", *sorted({str(row.get(by or "") or "") for row, _ in kept} - {""})] if by else [""]:
            rows = [one for one in kept if not category or str(one[0].get(by or "") or "") == category]
            tool = _of_pairs if judged.kind == "pairs" else _of_clips
            found, more = tool(rows, dimension, level, seed)
            notes += [f"{dimension}: {note}" for note in more.get("notes", ()) if not category]
            if not category and "chance" in more:
                chance[dimension] = more["chance"]
            metrics += [_metric(dimension, column, category, *one) for one in found]
    return RaterEvaluation(judged.kind, tuple(metrics), chance, tuple(left_out), level, tuple(notes))


def _metric(
    dimension: str,
    score: str,
    category: str,
    name: str,
    value: float,
    low: float,
    high: float,
    items: int,
    contents: int,
) -> RaterMetric:
    return RaterMetric(dimension, score, category, name, float(value), float(low), float(high), items, contents)


Found = list[tuple[str, float, float, float, int, int]]


def _of_clips(rows: Sequence[tuple[Mapping[str, Any], float]], name: str, level: float, seed: int) -> tuple[Found, Any]:
    own = np.array([value for _, value in rows])
    truth = np.array([float(row[name]) for row, _ in rows])
    contents = _contents([row for row, _ in rows])
    count = int(contents.max()) + 1
    more: dict[str, Any] = {"notes": []}
    found: Found = []
    if len(np.unique(truth)) > 2:
        measured, why = correlations(own, truth)
        if why:
            more["notes"].append(why)
        at, (low, high) = measured(np.arange(len(own))), clustered_intervals(measured, contents, level, RESAMPLES, seed)
        found += [(m, at[i], low[i], high[i], len(own), count) for i, m in enumerate(CORRELATIONS)]
        if np.ptp(own) == 0:
            more["notes"].append("all scores are equal, so correlations are undefined")
    elif np.ptp(truth) == 0:
        more["notes"].append("all judgments are equal, so nothing can be compared")
    answers, more["chance"] = choices(own, truth, contents)
    for metric in CHOICES:
        right, asked = answers[metric]
        if asked.sum():
            which = np.flatnonzero(asked)
            low, high = clustered_intervals(_share(right, asked), which, level, RESAMPLES, seed)
            share = float(right.sum() / asked.sum())
            found.append((metric, share, low[0], high[0], int(asked.sum()), len(which)))
    return found, more


def _share(right: Any, asked: Any) -> Callable[[Rows], list[float]]:
    which = np.flatnonzero(asked)
    return lambda rows: [float(right[which[rows]].sum() / asked[which[rows]].sum())]


def _of_pairs(rows: Sequence[tuple[Mapping[str, Any], float]], name: str, level: float, seed: int) -> tuple[Found, Any]:
    gaps = np.array([value for _, value in rows])
    human = np.array([WANTED[row[name]] for row, _ in rows])
    contents = _contents([row for row, _ in rows])

    def measured(at: Rows) -> list[float]:
        one = pair_accuracy(human[at], gaps[at])
        return [one.with_ties, math.nan if one.without_ties is None else one.without_ties]

    at, (low, high) = measured(np.arange(len(gaps))), clustered_intervals(measured, contents, level, RESAMPLES, seed)
    sizes = (len(gaps), int((human != 0).sum()))
    return [(m, at[i], low[i], high[i], sizes[i], int(contents.max()) + 1) for i, m in enumerate(PAIRS)], {}


def _contents(rows: Sequence[Mapping[str, Any]]) -> Rows:
    named: list[Hashable] = [row.get("group") or row.get("prompt") or ("row", i) for i, row in enumerate(rows)]
    return numbered(named)


def _value(row: Mapping[str, Any], kind: str, scores: Callable[[str, str], float | None], column: str) -> float:
    if kind != "pairs":
        found = scores(str(row["clip"]), column)
        return math.nan if _missing(found) else float(found)  # type: ignore[arg-type]
    first, second = (scores(str(row[name]), column) for name in ("first", "second"))
    return math.nan if _missing(first) or _missing(second) else float(first) - float(second)  # type: ignore[arg-type]


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
