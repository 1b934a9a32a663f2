"""The description of a trainer's format: its file, its columns, and which pairs it can represent."""

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
Keep = tuple[str, NDArray[np.bool_]]  # reason for leaving pairs out, and mask of those kept

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}  # endings of image files


@dataclass(frozen=True)
class MediaKind:
    """Media that a format needs besides rows: images, and audio in separate files.

    Attributes:
        part: the temporary folder that is being written.
        folder: its final name.
        embed: whether media are stored in the rows.
        labels: a format's own columns → columns of the table, such as VideoAlign's ``VQ``.
    """

    part: Path
    folder: Path
    embed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def sound(self, pair: Pair, side: str) -> str:
        """Return the path of the clip's audio: the clip itself, or a 16-bit WAV file of its audio if it has video."""
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
            except MediaError as error:  # name the final folder: the temporary one will be gone
                remedy = "free disk space, or choose another folder"
                raise MediaError(self.folder / "sounds" / name, error.problem, remedy) from error
        return str(self.folder / "sounds" / name)

    def picture(self, pair: Pair, side: str) -> bytes:
        """Return an image file: the clip itself if it is one, else its middle frame as PNG."""
        path = Path(str(pair[side]))
        if path.suffix.lower() in IMAGES:
            return read_bytes(path)
        return _png(Clip.open(path))


@dataclass(frozen=True)
class PairFormat:
    """One trainer's format.

    Attributes:
        name: in commands and `export_pairs`.
        ending: of its files: ``.jsonl``, ``.json`` (also one line per row), ``.csv`` or ``.parquet``.
        columns: name → pyarrow type.
        rows: returns one row or more for a pair and its `MediaKind`.
        where: documentation of the columns.
        lost: information that the format cannot represent; the sidecar has it.
        keep: returns, for pairs and labels, which pairs the format can represent.
        per_pair: number of rows per pair.
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
    """Return the common prompt of both clips; empty if there is none."""
    return str(pair["prompt"] or "")


def in_order(pair: Pair) -> tuple[str, str]:
    """Return the order of the sides, by the keys of the contents, so that it does not reveal which was chosen."""
    return ("chosen", "rejected") if pair["chosen_id"] < pair["rejected_id"] else ("rejected", "chosen")


def has(pairs: PreferencePairs, column: str) -> NDArray[np.bool_]:
    """Return (pairs,) whether both clips have a value in `column`."""
    if not pairs.pool.table.has(column):
        return np.zeros(len(pairs), dtype=bool)
    there = np.isfinite(pairs.pool.table.numbers(column))
    return there[pairs.chosen] & there[pairs.rejected]


def frames_of(pair: Pair, side: str) -> int:
    """Return the number of frames: length times rate, as the table has no count."""
    return max(1, round(float(pair[f"{side}_seconds"]) * float(pair[f"{side}_fps"])))


def rate_of(pair: Pair, side: str) -> float:
    """Return the frames per second, without the rounding errors of time stamps."""
    return round(float(pair[f"{side}_fps"]), 6)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; raise `MediaError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        remedy = "run the command where the table was made, as its paths are relative, or score again"
        raise MediaError(path, f"could not be read ({why})", remedy) from error


def _png(clip: Clip) -> bytes:
    import io

    from PIL import Image

    frame = clip.frames(FramePlan(Spread(1)))[0]
    pixels = (frame.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()  # (height, width, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()
