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
        value: the figure as the literature defines it, with hard thresholds; `None` where there is nothing to measure.
        soft: the smooth form of it that the scores use.
        softened: how the two differ.
        feeds: the dimension that it is fused into; `None` for information only.
        penalty: what it adds to that dimension's sum; the score is 100/(1 + sum).
        cost_ms: how long the smooth form took, without decoding; what several share counts with the first.
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
    soft: float | None = None
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
        for title in ("measurement", "figure", "unit", "as scored", "feeds", "penalty", "definition"):
            table.add_column(title, justify="right" if title in ("figure", "as scored", "penalty") else "left")
        for row in self.rows:
            shown = [_shown(row.value), row.unit, _shown(row.soft), row.feeds or "–", _shown(row.penalty)]
            table.add_row(row.name, *shown, row.note or row.source)
        text = io.StringIO()
        Console(width=160, color_system=None, file=text).print(table)
        return text.getvalue()


def explain(rater: SignalsRater, clip: Clip) -> Explanation:
    """Measure `clip` in both forms, with hard and with soft thresholds."""
    with torch.no_grad():
        sample = rater.load(clip)
        views = views_of(sample)
        return Explanation(tuple(_row(rater, m, views[NEEDS[m.view]][m.view]) for m in MEASUREMENTS))


def _row(rater: SignalsRater, m: Measurement, stretches: WindowViews) -> Explained:
    about = (m.name, m.unit, m.higher_is_better, m.source, m.description, m.softened, m.feeds)
    if not stretches.views:
        return Explained(*about, note=stretches.why)
    started = time.perf_counter()
    smooth = stretches.mean(m, soft)
    cost = 1000 * (time.perf_counter() - started)
    figure = stretches.mean(m, hard)
    if m.name == "av_offset":  # the literature's figure is the best lag itself, not a mean over lags
        figure = torch.stack([best_lag(view) for view in stretches.views]).mean()
    penalty = rater.fusion.penalty(m, smooth) if m.feeds else None
    return Explained(*about, float(figure), float(smooth), None if penalty is None else float(penalty), cost)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
