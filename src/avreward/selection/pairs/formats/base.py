"""What a trainer's format is: its file, its columns, what it needs of a pair, and what it can't hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.sampling import FramePlan, Spread
from avreward.selection.pairs.make import PreferencePairs

Pair = Mapping[str, Any]  # the columns of `table.pair_table`
Keep = tuple[str, NDArray[np.bool_]]  # why pairs are left out, and which are kept

SHEETS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}  # files that are a picture


@dataclass(frozen=True)
class MediaKind:
    """What a format needs besides rows: pictures, and sound in files of its own.

    Attributes:
        part: the folder that is being written.
        folder: the name that it will have.
        embed: whether media go into the rows.
        labels: a format's own columns → columns of the table, such as VideoAlign's ``VQ``.
    """

    part: Path
    folder: Path
    embed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def sound(self, pair: Pair, side: str) -> str:
        """The path of the clip's sound alone: the clip itself, or a 16-bit WAV file where it has a picture."""
        clip = str(pair[side])
        if pair.get(f"{side}_width") is None:
            return clip
        name = f"{pair[f'{side}_id']}.wav"
        written = self.part / "sounds" / name
        if not written.exists():
            written.parent.mkdir(exist_ok=True)
            opened = Clip.open(clip)
            sound = Clip(audio=opened.audio, sample_rate=opened.sample_rate)
            try:
                sound.save(written)
            except MediaError as error:  # the folder that is being written is gone when someone reads this
                remedy = "make room, or choose another place"
                raise MediaError(self.folder / "sounds" / name, error.problem, remedy) from error
        return str(self.folder / "sounds" / name)

    def picture(self, pair: Pair, side: str) -> bytes:
        """A picture file: the clip itself if it is one, else its middle frame as PNG."""
        path = Path(str(pair[side]))
        if path.suffix.lower() in SHEETS:
            return read_bytes(path)
        return _png(Clip.open(path))


@dataclass(frozen=True)
class PairFormat:
    """One trainer's format.

    Attributes:
        name: as the command knows it.
        ending: of its files: ``.jsonl``, ``.json`` (a line a row too), ``.csv`` or ``.parquet``.
        columns: name → type as pyarrow spells it.
        rows: a pair and `MediaKind` → one row or more.
        where: who documents the columns.
        lost: what the format can't hold; it stands in the sidecar.
        keep: pairs and labels → which pairs the format can hold.
        per_pair: rows of each pair.
    """

    name: str
    ending: str
    columns: Mapping[str, str]
    rows: Callable[[Pair, MediaKind], Iterator[Mapping[str, Any]]]
    where: str
    lost: str
    keep: Callable[[PreferencePairs, Mapping[str, str]], Sequence[Keep]] = lambda pairs, labels: ()
    per_pair: int = 1


def text_of(pair: Pair) -> str:
    """The prompt that both clips were made for; empty where there is none."""
    return str(pair["prompt"] or "")


def in_order(pair: Pair) -> tuple[str, str]:
    """Which side comes first: by the contents' names, so that a place says nothing of who was chosen."""
    return ("chosen", "rejected") if pair["chosen_id"] < pair["rejected_id"] else ("rejected", "chosen")


def has(pairs: PreferencePairs, column: str) -> NDArray[np.bool_]:
    """(pairs,) whether both clips have a value in `column`."""
    if not pairs.pool.table.has(column):
        return np.zeros(len(pairs), dtype=bool)
    there = np.isfinite(pairs.pool.table.numbers(column))
    return there[pairs.chosen] & there[pairs.rejected]


def frames_of(pair: Pair, side: str) -> int:
    """How many frames the clip has: length times rate, as the table has no count."""
    return max(1, round(float(pair[f"{side}_seconds"]) * float(pair[f"{side}_fps"])))


def rate_of(pair: Pair, side: str) -> float:
    """Frames a second, without the rounding errors of time stamps."""
    return round(float(pair[f"{side}_fps"]), 6)


def read_bytes(path: Path) -> bytes:
    """All of a file; `MediaError` where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        remedy = "the table's paths are relative to where it was made: go there, or score again"
        raise MediaError(path, f"can't be read ({why})", remedy) from error


def _png(clip: Clip) -> bytes:
    import io

    from PIL import Image

    frame = clip.frames(FramePlan(Spread(1)))[0]
    pixels = (frame.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()  # (height, width, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()
