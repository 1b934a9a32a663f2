"""Render a `RewardCard` as one HTML file without scripts, images or network access."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from avreward.audit._statistics import Difference, median, sd
from avreward.report.card_data import CardCurve, ProbeRow, RewardCard
from avreward.report.page import ABSENT, HERE, environment, number
from avreward.report.page import signed as signed

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 210, 44, 12, 14, 34  # of a chart, in its own units
SAID = {
    "beats": "beats the median real clip",
    "sometimes": "single ones do",
    "never": "none does",
    "unseen": "makes no difference to it",
    "missing": "no reward",
}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render_card(card: RewardCard) -> str:
    """Return the card as HTML; all text is escaped, since file names are untrusted."""
    from markupsafe import Markup

    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "card.css"))
    template = environment().get_template("card.html.j2")
    scale = CardScale.of(card)
    return template.render(
        card=card,
        scale=scale,
        median=median(card.real),
        spread=sd(card.real),
        rows=sorted(card.probes, key=lambda row: -_height(row)),
        lines=[chart(card.best_of, "N, candidates to choose from"), chart(card.steps, "gradient steps")],
        said=SAID,
        signed=signed,
        interval=interval,
        absent=ABSENT,
        policy=_POLICY,
        version=version("avreward"),
        style=Markup(style),  # noqa: S704  # our own two files go in as they are
    )


def interval(difference: Difference | None) -> str:
    """Return the 95 % interval of a difference; empty if there is none."""
    if difference is None or difference.low is None or difference.high is None:
        return ""
    return f"{signed(difference.low)} … {signed(difference.high)}"


def _height(row: ProbeRow) -> float:
    return -math.inf if row.to_median is None else row.to_median.value


@dataclass(frozen=True)
class CardScale:
    """Maps rewards to positions, 0 to 100, in the small charts of the probes.

    `seen_low` and `seen_high` are the range of all clips, real and degenerate; `real_low` and `real_high` of real ones.
    """

    seen_low: float
    seen_high: float
    real_low: float
    real_high: float

    @classmethod
    def of(cls, card: RewardCard) -> CardScale:
        """Return the scale that holds all rewards of the card."""
        real = [value for value in card.real if value is not None] or [0.0]
        seen = real + [value for row in card.probes for value in row.there]
        return cls(min(seen), max(seen), min(real), max(real))

    def place(self, value: float) -> str:
        """Return the position in percent, with a small margin at both ends."""
        span = self.seen_high - self.seen_low
        return f"{2 + 96 * (value - self.seen_low) / span:.1f}" if span > 0 else "50.0"

    @property
    def width(self) -> str:
        """Width of the real clips' band; never too thin to be visible."""
        return f"{max(0.8, float(self.place(self.real_high)) - float(self.place(self.real_low))):.1f}"


@dataclass(frozen=True)
class CardChart:
    """A line chart in SVG coordinates.

    `trained` and `held_out` are paths, empty without a line; `ticks_x` and `ticks_y` are (position, text); `zero` is
    the position of a gain of 0; `unit` is the unit of the vertical axis.
    """

    trained: str
    held_out: str
    ends: Sequence[tuple[str, float, float]]
    ticks_x: Sequence[tuple[float, str]]
    ticks_y: Sequence[tuple[float, str]]
    zero: float
    unit: str
    label: str
    note: str


def chart(curve: CardCurve, label: str) -> CardChart:
    """Return the chart of a curve; both lines are in standard deviations of the real clips if those are known."""
    known = [s for s in (curve.trained_sd, *([curve.held_out_sd] if curve.held_out else [])) if s]
    in_sds = len(known) == 1 + bool(curve.held_out)
    lines = {"trained": curve.trained, "held out": curve.held_out}
    units = {"trained": curve.trained_sd if in_sds else 1.0, "held out": curve.held_out_sd if in_sds else 1.0}
    scaled = {
        name: [None if y is None else y / (units[name] or 1.0) for y in line] for name, line in lines.items() if line
    }
    seen = [y for line in scaled.values() for y in line if y is not None] or [0.0]
    ticks = nice(min(0.0, *seen), max(0.0, *seen))
    low, high = ticks[0], ticks[-1]
    first, last = (curve.x[0], curve.x[-1]) if curve.x else (0, 1)

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - first) / max(1, last - first)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low)

    def path(name: str) -> str:
        there = [(across(x), up(y)) for x, y in zip(curve.x, scaled.get(name, ()), strict=False) if y is not None]
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in there) if len(there) > 1 else ""

    def end(name: str) -> tuple[str, float, float] | None:
        y = scaled[name][-1]
        return None if y is None else (name, across(last), up(y))

    return CardChart(
        trained=path("trained"),
        held_out=path("held out"),
        ends=[found for name in scaled if (found := end(name))],
        ticks_x=[(across(x), str(x)) for x in curve.x if x in _few(curve.x)],
        ticks_y=[(up(y), number(y)) for y in ticks],
        zero=up(0.0),
        unit="standard deviations of the real clips" if in_sds else "the rewards' own units",
        label=label,
        note=curve.note,
    )


def nice(low: float, high: float) -> list[float]:
    """Return three to six round numbers that enclose `low` and `high`.

    Example:
        >>> nice(-0.2, 1.7)
        [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
    """
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    while (high - low) / step > 4:
        step *= 2.5 if math.isclose(step / 10 ** math.floor(math.log10(step) + 1e-9), 2) else 2
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _few(x: Sequence[int]) -> set[int]:
    every = max(1, math.ceil((len(x) - 1) / 6))
    return set(x[::every])
