"""The index of a file as bytes, so that it need not be read again before it is decoded."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from avreward.media._container import FileStamp, Limits
from avreward.media._file_tracks import FileAudio, FileVideo
from avreward.media._index import IndexedAudio, IndexedVideo, MediaIndex
from avreward.media._version import VERSION, decoder
from avreward.media._video.to_rgb import Orientation

FORMAT = 3  # of the bytes: raise it when a field is renamed, added or read in another way
_FRACTIONS, _TUPLES = ("base", "interval", "origin"), ("stamps", "keyframes", "names")


def pack(index: MediaIndex, picture: FileVideo | None, sound: FileAudio | None) -> bytes:
    """Return the index of a file with its tracks' keys and the orientation of its frames, as bytes.

    The keys need one pass over the file, the orientation its first frame.
    """
    content = {
        "picture": None if index.picture is None else asdict(index.picture),
        "sound": None if index.sound is None else asdict(index.sound),
        "missing": index.missing,
        "orientation": None if picture is None else asdict(picture.orientation),
        "keys": {name: track.key for name, track in (("video", picture), ("audio", sound)) if track is not None},
    }
    return zlib.compress(json.dumps(content, default=_ratio).encode(), 1)


def unpack(data: bytes, stamp: FileStamp, limits: Limits) -> tuple[MediaIndex, FileVideo | None, FileAudio | None]:
    """Return the index and tracks that `pack` packed, for the file of `stamp` that was opened with `limits`."""
    content = json.loads(zlib.decompress(data))
    seen, heard, keys = content["picture"], content["sound"], content["keys"]
    index = MediaIndex(
        stamp,
        limits,
        None if seen is None else IndexedVideo(**_fields(seen)),
        None if heard is None else IndexedAudio(**_fields(heard)),
        content["missing"],
    )
    picture = None if seen is None else FileVideo(index, Orientation(**content["orientation"]), keys["video"])
    return index, picture, None if heard is None else FileAudio(index, keys["audio"])


def made_by() -> str:
    """Return the versions that an index depends on: another version or decoder may read a file differently."""
    return f"format {FORMAT}, media {VERSION}, av {decoder()}"


def _ratio(value: Any) -> list[int]:
    if not isinstance(value, Fraction):
        raise TypeError(f"{value!r} cannot be stored as JSON")
    return [value.numerator, value.denominator]


def _fields(content: dict[str, Any]) -> dict[str, Any]:
    fractions = {name: Fraction(*content[name]) for name in _FRACTIONS if name in content}
    tuples = {name: tuple(content[name]) for name in _TUPLES if content.get(name) is not None}
    return content | fractions | tuples
