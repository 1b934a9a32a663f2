"""Which moment and which region of a clip a reward depends on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from os import PathLike
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from avreward import _display
from avreward._csv_cells import csv_of
from avreward._whole_files import whole_file
from avreward.errors import ArgumentError

if TYPE_CHECKING:
    import pandas

Method = Literal["mixed", "occlusion", "gradient", "alone"]
METHODS: tuple[Method, ...] = ("mixed", "occlusion", "gradient", "alone")
WORDS: Mapping[Method, str] = {"mixed": "occlusion, and regions alone", "alone": "parts alone"}
STANDS_OUT = 1.5  # standard deviations from the median, by the median absolute deviation
SMALL = 1e-4  # smaller effects are rounding errors
FEWEST = 3  # effects of which one can stand out
COLUMNS = ("kind", "stream", "start", "stop", "top", "left", "bottom", "right", "effect")


@dataclass(frozen=True)
class Peak:
    """The part of a clip with the most extreme effect: its `index`, where it is in words, and its effect."""

    index: int
    where: str
    effect: float


@dataclass(frozen=True)
class MomentEffects:
    """The effect of each moment of a stream on a reward.

    Attributes:
        stream: ``"video"`` or ``"audio"``; ``"clip"`` for both together.
        start, stop: the moments in s; neighbours overlap.
        effect: how much each moment raises the reward; negative where it lowers it, `None` where that is unknown.
    """

    stream: str
    start: tuple[float, ...]
    stop: tuple[float, ...]
    effect: tuple[float | None, ...]

    @property
    def lowest(self) -> Peak | None:
        """The moment that lowers the reward most, compared with the median moment; `None` if none stands out."""
        return self._peak(-1)

    @property
    def highest(self) -> Peak | None:
        """The moment that raises the reward most, compared with the median moment; `None` if none stands out."""
        return self._peak(1)

    def _peak(self, side: int) -> Peak | None:
        index = _outstanding(self.effect, side)
        if index is None:
            return None
        where = f"from {self.start[index]:.2f} to {self.stop[index]:.2f} s"
        return Peak(index, where, self.effect[index])  # type: ignore[arg-type]


@dataclass(frozen=True)
class RegionEffects:
    """The effect of each block of the frame on a reward, over the whole video.

    Attributes:
        effect: rows from the top, each from the left: how much a block raises the reward; `None` where that is unknown.
    """

    effect: tuple[tuple[float | None, ...], ...]

    @property
    def grid(self) -> tuple[int, int]:
        """The number of rows and columns."""
        return len(self.effect), len(self.effect[0])

    @property
    def flat(self) -> tuple[float | None, ...]:
        """The effects row by row."""
        return tuple(value for row in self.effect for value in row)

    @property
    def lowest(self) -> Peak | None:
        """The block that lowers the reward most, compared with the median block; `None` if none stands out."""
        return self._peak(-1)

    @property
    def highest(self) -> Peak | None:
        """The block that raises the reward most, compared with the median block; `None` if none stands out."""
        return self._peak(1)

    def box(self, index: int) -> tuple[float, float, float, float]:
        """Return (top, left, bottom, right) of a block, each 0 to 1."""
        rows, columns = self.grid
        row, column = divmod(index, columns)
        return row / rows, column / columns, (row + 1) / rows, (column + 1) / columns

    def _peak(self, side: int) -> Peak | None:
        index = _outstanding(self.flat, side)
        return None if index is None else Peak(index, place_of(self.box(index)), self.flat[index])  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class Attribution(_display.ShownAsTable):
    """Which moments and regions of a clip raise or lower a reward, as `attribute` returns it.

    Attributes:
        name: of the clip.
        reward: the reward as an expression.
        value: the reward of the clip.
        method: ``"mixed"``, ``"occlusion"``, ``"gradient"`` or ``"alone"``.
        moments: stream → its moments.
        regions: blocks of the frame; `None` without video.
        notes: what this attribution can't say, and why.
    """

    name: str
    reward: str
    value: float
    method: Method
    moments: Mapping[str, MomentEffects] = field(default_factory=dict)
    regions: RegionEffects | None = None
    notes: tuple[str, ...] = ()

    @property
    def by(self) -> str:
        """The method in words."""
        return WORDS.get(self.method, self.method)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each moment and block: `kind`, where it is, and its `effect`; `None` where not meant."""
        empty = dict.fromkeys(COLUMNS)
        for moments in self.moments.values():
            for start, stop, effect in zip(moments.start, moments.stop, moments.effect, strict=True):
                row = {"kind": "moment", "stream": moments.stream, "start": start, "stop": stop, "effect": effect}
                yield empty | row
        if self.regions is not None:
            for index, effect in enumerate(self.regions.flat):
                box = dict(zip(("top", "left", "bottom", "right"), self.regions.box(index), strict=True))
                yield empty | {"kind": "region", "stream": "video", **box, "effect": effect}

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas table with the columns kind, stream, start, stop, top, left, bottom, right and effect."""
        import pandas

        return pandas.DataFrame(list(self.rows()), columns=list(COLUMNS))

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain data for JSON."""
        return {
            "clip": self.name,
            "reward": self.reward,
            "value": self.value,
            "method": self.method,
            "moments": {
                name: {"start": list(m.start), "stop": list(m.stop), "effect": list(m.effect), **_peaks(m)}
                for name, m in self.moments.items()
            },
            "regions": None
            if self.regions is None
            else {"effect": [list(row) for row in self.regions.effect], **_peaks(self.regions)},
            "notes": list(self.notes),
        }

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the attribution to a ``.json`` file, or its rows to a ``.csv`` file; return the path.

        Raises:
            ArgumentError: if the name has another ending.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending not in (".json", ".csv"):
            raise ArgumentError("path", "a name that ends in .json or .csv", str(path))
        if ending == ".json":
            text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        else:
            text = csv_of(self.to_frame())
        with whole_file(target) as part:
            part.write_text(text, encoding="utf-8", errors="replace")
        return target

    def summary(self) -> list[str]:
        """Return what stands out, a sentence for each stream and for the frame, and the notes."""
        parts: dict[str, MomentEffects | RegionEffects] = dict(self.moments)
        if self.regions is not None:
            parts["frame"] = self.regions
        return [*(_sentence(name, part) for name, part in parts.items()), *self.notes]

    def _shown(self) -> _display.Shown:
        title = f"Attribution of {self.reward} = {_display.number(self.value)} for {self.name}, by {self.method}"
        order = sorted(self.rows(), key=lambda row: math.inf if row["effect"] is None else row["effect"])
        rows = [(row["kind"], row["stream"], _place(row), row["effect"]) for row in order]
        return title, ["kind", "stream", "where", "effect"], rows, len(rows)

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(line)}</p>" for line in self.summary())
        return said + super()._repr_html_()


def place_of(box: tuple[float, float, float, float]) -> str:
    """Return where a block of the frame is, in words.

    >>> place_of((0.0, 0.75, 0.25, 1.0))
    'at the top right'
    """
    down, across = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    vertical = "top" if down < 1 / 3 else "bottom" if down > 2 / 3 else ""
    horizontal = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    if vertical and horizontal:
        return f"at the {vertical} {horizontal}"
    return f"at the {vertical}" if vertical else f"on the {horizontal}" if horizontal else "in the middle"


def signed(value: float) -> str:
    """Return an effect with its sign.

    >>> signed(3.456), signed(-0.02)
    ('+3.46', '−0.02')
    """
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{_display.number(float(f'{abs(value):.3g}'))}"


def _sentence(name: str, part: MomentEffects | RegionEffects) -> str:
    # Peaks stand out from the median: in a clip that is bad everywhere the highest one may still lower the reward.
    said = []
    for peak, side in ((part.lowest, -1), (part.highest, 1)):
        if peak is not None:
            most = "most" if side * peak.effect >= 0 else "least"
            verb = "raises" if peak.effect > 0 else "lowers"
            said.append(f"{verb} the reward {most} {peak.where} ({signed(peak.effect)})")
    if said:
        return f"{name}: {'; '.join(said)}"
    which = "moment" if isinstance(part, MomentEffects) else "region"
    return f"{name}: no {which} stands out; what the reward sees is spread over all of it"


def _place(row: Mapping[str, Any]) -> str:
    if row["kind"] == "moment":
        return f"{row['start']:.2f} to {row['stop']:.2f} s"
    return ", ".join(f"{100 * row[side]:.0f} %" for side in ("top", "left", "bottom", "right"))


def _peaks(part: MomentEffects | RegionEffects) -> dict[str, Any]:
    peaks = {"lowest": part.lowest, "highest": part.highest}
    return {name: None if peak is None else asdict(peak) for name, peak in peaks.items()}


def _outstanding(effects: tuple[float | None, ...], side: int) -> int | None:
    """Return the index of the lowest (`side` −1) or highest (1) effect; `None` if it is within the usual spread."""
    known = [effect for effect in effects if effect is not None]
    if len(known) < FEWEST:
        return None
    usual = median(known)
    spread = 1.4826 * median(abs(effect - usual) for effect in known)  # of a normal distribution: its deviation
    best = max(known, key=lambda effect: side * effect)
    if side * (best - usual) <= max(STANDS_OUT * spread, SMALL * max(1.0, abs(usual))):
        return None
    return effects.index(best)
