"""The media of pairs: copies, images and audio in separate files, and the paths by which rows name them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from avreward._names import ending_of, key_name
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.media.sampling import FramePlan, Spread

Pair = Mapping[str, Any]  # the columns of `table.pair_table`
Naming = Literal["as given", "absolute", "relative"]

IMAGES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}  # endings of image files


@dataclass(frozen=True)
class PairMedia:
    """Media that a format needs besides rows, and how its rows name them.

    Attributes:
        part: the temporary folder that is being written.
        folder: its final name.
        embed: whether media are stored in the rows.
        copy: whether the clips are copied to ``media/`` in the folder.
        root: what stands in rows for the exported folder if clips are copied, else for the current folder.
        naming: how rows name files if there is no `root`; ``"relative"`` is from the exported folder.
        labels: a format's own columns → columns of the table: VideoAlign's ``VQ``, TRL's ``completion``.
    """

    part: Path
    folder: Path
    embed: bool = False
    copy: bool = False
    root: str | None = None
    naming: Naming = "as given"
    labels: Mapping[str, str] = field(default_factory=dict)

    def clip(self, pair: Pair, side: str) -> str:
        """Return the path of a clip as the format's rows name it; copy the clip if copies are asked for."""
        given = str(pair[side])
        if not self.copy:
            return given if self.root is None and self.naming == "as given" else self._named(Path(given))
        source = Path(given)
        name = f"{file_name(pair, side)}{ending_of(source.suffix)}"
        written = self.part / "media" / name
        if not written.exists():
            _copy(source, written)
        return self._named(self.folder / "media" / name)

    def sound(self, pair: Pair, side: str, rate: int | None = None) -> str:
        """Return the path of the clip's audio: the clip itself, or a WAV file of its audio.

        Args:
            pair: the pair.
            side: ``chosen`` or ``rejected``.
            rate: sample rate in Hz; with one there is always a WAV file (default: that of the clip).
        """
        if pair.get(f"{side}_width") is None and rate is None:
            return self.clip(pair, side)
        name = f"{file_name(pair, side)}.wav"
        written = self.part / "sounds" / name
        if not written.exists():
            written.parent.mkdir(exist_ok=True)
            opened = Clip.open(str(pair[side]))
            sound = Clip(audio=opened.sound(rate), sample_rate=rate or opened.sample_rate)
            try:
                sound.save(written)
            except MediaError as error:  # name the final folder: the temporary one will be gone
                remedy = "free disk space, or choose another folder"
                raise MediaError(self.folder / "sounds" / name, error.problem, remedy) from error
        return self._named(self.folder / "sounds" / name)

    def picture(self, pair: Pair, side: str) -> bytes:
        """Return an image file: the clip itself if it is one, else its middle frame as PNG."""
        path = Path(str(pair[side]))
        if path.suffix.lower() in IMAGES:
            return read_bytes(path)
        return _png(Clip.open(path))

    def _named(self, path: Path) -> str:
        """Return the path of a file in the way that the reader of the rows expects."""
        inside = self.copy or path.is_relative_to(self.folder)
        if self.root is None:
            if self.naming == "absolute":
                return os.path.abspath(path)
            if self.naming == "relative" or self.copy:
                return PurePosixPath(os.path.relpath(path, self.folder)).as_posix()
            return str(path)
        start = self.folder if self.copy else Path.cwd()
        relative = os.path.relpath(path, start)
        if relative.startswith(os.pardir):
            what = "the exported folder" if inside else "a clip"
            got = Described(f"{what} outside of it: {path}")
            remedy = "copy the media too, or run the command in a folder that contains all of them"
            raise ArgumentError("root", "files below the current folder", got, remedy)
        return (PurePosixPath(self.root) / relative).as_posix()


def file_name(pair: Pair, side: str) -> str:
    """Return the name, without ending, of a file that is made for one side of a pair: the key of its content.

    Raises:
        ArgumentError: if the table's key is not a plain name, as it could point to another folder.
    """
    return key_name(str(pair[f"{side}_id"]), "clip_key", "score the clips again, or remove the column")


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a media file; raise `MediaError` if it is none, as a table may name any file."""
    Clip.open(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a clip; raise `MediaError` unless it is a regular file that opens as media."""
    Clip.open(source)
    target.parent.mkdir(exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except PermissionError as error:
        raise _unreadable(source, error) from error


def _unreadable(path: Path, error: OSError) -> MediaError:
    remedy = "run the command where the table was made, as its paths are relative, or score again"
    return MediaError(path, f"could not be read ({error.strerror or error})", remedy)


def _png(clip: Clip) -> bytes:
    import io

    from PIL import Image

    frame = clip.frames(FramePlan(Spread(1)))[0]
    pixels = (frame.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()  # (height, width, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()
