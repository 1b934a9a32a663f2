"""Line charts with bands as inline SVG; the plot scales with the page, and all text is HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from avreward.report.page import coordinate

MARKED_AT_MOST = 24  # points of a line that has dots


@dataclass(frozen=True)
class Line:
    """A line through points, with a band of their intervals.

    Attributes:
        name: for the legend; the CSS class is ``line-0``, ``line-1``, … by its position in the chart.
        x, y: coordinates in the chart's units.
        low, high: ends of the band at each point; `None` where a point has no interval.
        dashed: whether it is a reference instead of a measurement.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines in one pair of axes.

    Attributes:
        title, caption: text above the chart.
        x_name, y_name: names of the axes.
        lines: at least one line.
        x_marks: (value, label) along the horizontal axis.
        level: value of a horizontal line, such as a required gain, or `None`.
    """

    title: str
    caption: str
    x_name: str
    y_name: str
    lines: tuple[Line, ...]
    x_marks: tuple[tuple[float, str], ...]
    level: float | None = None

    @property
    def drawn(self) -> list[Drawn]:
        """The lines in percent of the plot, from its top left."""
        return [self._drawn(line) for line in self.lines]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Position in percent and label along the horizontal axis."""
        return [(coordinate(self._across(x)), label) for x, label in self.x_marks]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Position in percent and label along the vertical axis."""
        low, high = self._range
        return [(coordinate(self._down(y)), f"{y:g}".replace("-", "−")) for y in round_numbers(low, high)]

    @property
    def level_at(self) -> str | None:
        """Position of `level` in percent."""
        return None if self.level is None else coordinate(self._down(self.level))

    @property
    def _range(self) -> tuple[float, float]:
        values = [
            v for line in self.lines for v in (*line.y, *line.low, *line.high) if v is not None and math.isfinite(v)
        ]
        values += [] if self.level is None else [self.level]
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = 0.06 * (high - low) or abs(high) or 1.0
        return low - room, high + room

    def _across(self, x: float) -> float:
        ends = [v for line in self.lines for v in line.x]
        low, high = min(ends), max(ends)
        return 50.0 if high == low else 100 * (x - low) / (high - low)

    def _down(self, y: float) -> float:
        low, high = self._range
        return 100 * (high - y) / (high - low)

    def _drawn(self, line: Line) -> Drawn:
        points = [(self._across(x), self._down(y)) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)]
        band = [
            (self._across(x), self._down(low), self._down(high))
            for x, low, high in zip(line.x, line.low, line.high, strict=False)
            if low is not None and high is not None
        ]
        around = [(x, low) for x, low, _ in band] + [(x, high) for x, _, high in reversed(band)]
        dots = points if len(points) <= MARKED_AT_MOST and not line.dashed else points[:1] if len(points) == 1 else []
        return Drawn(
            line.name,
            _path(points),
            _path(around) + "z" if around else "",
            [(coordinate(x), coordinate(y)) for x, y in dots],
            line.dashed,
        )


@dataclass(frozen=True)
class Drawn:
    """A line to draw: SVG paths in a square of 100, and dots as positions in percent."""

    name: str
    path: str
    band: str
    dots: list[tuple[str, str]]
    dashed: bool


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points) if points else ""


def round_numbers(low: float, high: float, about: int = 5) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten between `low` and `high`.

    Example:
        >>> round_numbers(-0.1, 2.2)
        [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    raw = (high - low) / about
    power = 10 ** math.floor(math.log10(raw))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda one: abs(math.log(one / raw)))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]
