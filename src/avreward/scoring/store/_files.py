"""Remember media files, so that a file with the same path, size and time is opened again without reading it."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Mapping

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._container import FileStamp, Limits
from avreward.media._file_tracks import FileAudio, FileVideo
from avreward.media._index import MediaIndex
from avreward.media._index_cache import made_by, pack, unpack
from avreward.media._isolated.workers import DecoderDied
from avreward.scoring.store._rows import UNDECODABLE
from avreward.scoring.store._tables import FileRow

_DIED = b"died: "  # instead of an index, which is compressed
_SETTLED = 2_000_000_000  # nanoseconds: a file may be written twice within one tick of its disk's clock


def name_of(stamp: FileStamp) -> bytes:
    """Return the key under which a file is remembered: its absolute path."""
    return os.fsencode(os.path.abspath(stamp.path))


def remembered(clip: Clip) -> FileRow | None:
    """Return the row for a clip from `Clip.open`; `None` for any other clip, and for a file written just now."""
    index, picture, sound = index_of(clip), clip._picture, clip._sound
    if index is None or index.limits != Limits() or time.time_ns() - index.stamp.modified < _SETTLED:
        return None
    about = pack(
        index, picture if isinstance(picture, FileVideo) else None, sound if isinstance(sound, FileAudio) else None
    )
    return FileRow(name_of(index.stamp), index.stamp.size, index.stamp.modified, made_by(), about)


def recalled(row: FileRow, stamp: FileStamp, prompt: str | None, texts: Mapping[str, str] | None) -> Clip | None:
    """Return the clip, or `None` if the file has changed since `row` was written, or the row is damaged."""
    if (row.size, row.modified, row.code) != (stamp.size, stamp.modified, made_by()):
        return None
    try:
        found = unpack(row.about, stamp, Limits())
    except (*UNDECODABLE, zlib.error):
        return None
    return Clip._of_file(*found, prompt, texts)


def death(stamp: FileStamp, problem: str) -> FileRow:
    """Return the row for a file that ended the process that decoded it."""
    return FileRow(name_of(stamp), stamp.size, stamp.modified, made_by(), _DIED + problem.encode())


def check_survived(row: FileRow, stamp: FileStamp) -> None:
    """Raise `DecoderDied` if the file ended its decoder in an earlier run, and has not changed since."""
    if row.about.startswith(_DIED) and row[:4] == death(stamp, "")[:4]:
        problem = f"{row.about[len(_DIED) :].decode()}, in an earlier run"
        raise DecoderDied(stamp.path, problem, "leave it out, or use another store to try it again")


def unchanged(clip: Clip) -> bool:
    """Return whether the files of the clip's tracks are unchanged since they were opened."""
    try:
        for track in (clip._picture, clip._sound):
            if isinstance(track, FileVideo | FileAudio):
                track.index.stamp.check()
    except MediaError:
        return False
    return True


def index_of(clip: Clip) -> MediaIndex | None:
    """Return the index of the file that holds all tracks of the clip; `None` if several files do."""
    found = {
        id(track.index) if isinstance(track, FileVideo | FileAudio) else None: track
        for track in (clip._picture, clip._sound)
        if track is not None
    }
    [only] = found.values() if len(found) == 1 else [None]
    if not isinstance(only, FileVideo | FileAudio):
        return None
    whole = (only.index.picture is not None) == clip.has_video and (only.index.sound is not None) == clip.has_audio
    return only.index if whole else None
