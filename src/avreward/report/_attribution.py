"""An attribution on a page: lines of moments under the player, and blocks over the frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from avreward.audit.attribution import Attribution, MomentEffects, RegionEffects
from avreward.report.page import signed

HALF = 46  # height of the largest effect, in a drawing 100 high with its axis in the middle


@dataclass(frozen=True)
class Mark:
    """A rectangle of a drawing: its place, whether it `raises` the reward, how strongly (0 to 1), and a text."""

    x: float
    y: float
    width: float
    height: float
    raises: bool
    strength: float
    text: str


@dataclass(frozen=True)
class AttributionView:
    """What a page draws of an attribution.

    Attributes:
        lines: stream → its moments, in a drawing of 100 × 100 with the axis in the middle.
        blocks: the regions, in a drawing as large as the frame.
        said: what stands out, and notes, in sentences.
        method: how it was made, in words.
        reward: what it is about.
    """

    lines: dict[str, list[Mark]]
    blocks: list[Mark]
    said: list[str]
    method: str
    reward: str


def view_of(found: Attribution, seconds: float, width: int, height: int) -> AttributionView:
    """Return the drawing of an attribution of a clip of `seconds` and of frames of `width` × `height`."""
    largest = max((abs(e) for m in found.moments.values() for e in m.effect if e is not None), default=0.0)
    lines = {name: list(_line(moments, seconds, largest)) for name, moments in found.moments.items()}
    blocks = [] if found.regions is None else list(_blocks(found.regions, width, height))
    return AttributionView(lines, blocks, found.summary(), found.by, found.reward)


def _line(moments: MomentEffects, seconds: float, largest: float) -> Iterator[Mark]:
    """Yield a bar for each moment: above the axis where it raises the reward, below where it lowers it."""
    middles = [(a + b) / 2 for a, b in zip(moments.start, moments.stop, strict=True)]
    wide = middles[1] - middles[0]  # they overlap; the bars are drawn side by side
    for place, (middle, effect) in enumerate(zip(middles, moments.effect, strict=True)):
        if effect is None or not largest or not seconds:
            continue
        left = middle - wide / 2 if place else 0.0
        right = middle + wide / 2 if place < len(middles) - 1 else moments.stop[-1]
        tall = HALF * abs(effect) / largest
        text = f"{moments.start[place]:.2f} to {moments.stop[place]:.2f} s: {signed(effect)}"
        x, across = 100 * left / seconds, 100 * (right - left) / seconds
        yield Mark(x, 50 - tall if effect > 0 else 50, across, tall, effect > 0, abs(effect) / largest, text)


def _blocks(regions: RegionEffects, width: int, height: int) -> Iterator[Mark]:
    largest = max((abs(effect) for effect in regions.flat if effect is not None), default=0.0)
    for index, effect in enumerate(regions.flat):
        if effect is None or not largest:
            continue
        top, left, bottom, right = regions.box(index)
        x, y, across, down = left * width, top * height, (right - left) * width, (bottom - top) * height
        yield Mark(x, y, across, down, effect > 0, abs(effect) / largest, signed(effect))
