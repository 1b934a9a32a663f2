"""Explanation of a clip's `signals` scores: every measurement with its definition and penalty."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from avreward.errors import unknown_name
from avreward.raters.signals._av_sync import best_lag
from avreward.raters.signals._gates import hard, soft
from avreward.raters.signals._measurement import MEASUREMENTS, NEEDS, Measurement
from avreward.raters.signals._windows import WindowViews, views_of

if TYPE_CHECKING:
    from avreward.clip import Clip
    from avreward.raters.signals.rater import SignalsRater


@dataclass(frozen=True)
class Explained:
    """One measurement of one clip.

    Attributes:
        name, unit, higher_is_better, source, description: as in `Measurement`.
        value: the value, the same as the score of this name; `None` where there is nothing to measure.
        as_published: the figure as its source defines it, with hard thresholds; not shown in tables and reports.
        softened: how the two differ.
        feeds: the dimension that it is fused into; `None` for information only.
        penalty: what it adds to that dimension's sum; the score is 100/(1 + sum).
        cost_ms: how long `value` took, without decoding; what several share counts with the first.
        note: why it is missing.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    source: str
    description: str
    softened: str
    feeds: str | None
    value: float | None = None
    as_published: float | None = None
    penalty: float | None = None
    cost_ms: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Explanation:
    """All measurements of a clip; iterate over it, or print it as a table."""

    rows: tuple[Explained, ...]

    def __iter__(self) -> Iterator[Explained]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Explained:
        """Return the row of one measurement.

        Raises:
            UnknownNameError: for an unknown name; it suggests the closest ones.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise unknown_name("measurement", name, [row.name for row in self.rows])

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for title in ("measurement", "value", "unit", "feeds", "penalty", "definition"):
            table.add_column(title, justify="right" if title in ("value", "penalty") else "left")
        for row in self.rows:
            shown = [_shown(row.value), row.unit, row.feeds or "–", _shown(row.penalty)]
            table.add_row(row.name, *shown, row.note or row.source)
        text = io.StringIO()
        Console(width=160, color_system=None, file=text).print(table)
        return text.getvalue()


def explain(rater: SignalsRater, clip: Clip) -> Explanation:
    """Measure `clip` as the scores do, and as published."""
    with torch.no_grad():
        sample = rater.load(clip)
        views = views_of(sample)
        return Explanation(tuple(_row(rater, m, views[NEEDS[m.view]][m.view]) for m in MEASUREMENTS))


def _row(rater: SignalsRater, m: Measurement, stretches: WindowViews) -> Explained:
    about = (m.name, m.unit, m.higher_is_better, m.source, m.description, m.softened, m.feeds)
    if not stretches.views:
        return Explained(*about, note=stretches.why)
    started = time.perf_counter()
    value = stretches.mean(m, soft)
    cost = 1000 * (time.perf_counter() - started)
    published = stretches.mean(m, hard)
    if m.name == "av_offset":  # the published figure is the best lag itself, not a mean over lags
        published = torch.stack([best_lag(view) for view in stretches.views]).mean()
    penalty = rater.fusion.penalty(m, value) if m.feeds else None
    return Explained(*about, float(value), float(published), None if penalty is None else float(penalty), cost)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
