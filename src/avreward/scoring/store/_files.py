"""Media files that a store has seen: opened again without reading them, while path, size and time are the same."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._container import FileStamp, Limits
from avreward.media._index import MediaIndex
from avreward.media._index_cache import made_by, pack, unpack
from avreward.media._tracks import FileAudio, FileVideo
from avreward.scoring.store._tables import FileRow

_SETTLED = 2_000_000_000  # nanoseconds: a file may be written twice within one tick of its disk's clock


def name_of(stamp: FileStamp) -> bytes:
    """The name under which a file is remembered."""
    return os.fsencode(os.path.abspath(stamp.path))


def remembered(clip: Clip) -> FileRow | None:
    """What to keep of a clip as `Clip.open` made it; `None` for any other, and for a file written just now."""
    index, picture, sound = _index(clip), clip._picture, clip._sound
    if index is None or index.limits != Limits() or time.time_ns() - index.stamp.modified < _SETTLED:
        return None
    about = pack(
        index, picture if isinstance(picture, FileVideo) else None, sound if isinstance(sound, FileAudio) else None
    )
    return FileRow(name_of(index.stamp), index.stamp.size, index.stamp.modified, made_by(), about)


def recalled(row: FileRow, stamp: FileStamp, prompt: str | None, texts: Mapping[str, str] | None) -> Clip | None:
    """The clip, or `None` if the file is not as it was when `row` was written."""
    if (row.size, row.modified, row.code) != (stamp.size, stamp.modified, made_by()):
        return None
    return Clip._of_file(*unpack(row.about, stamp, Limits()), prompt, texts)


def unchanged(clip: Clip) -> bool:
    """Whether the files that the clip's tracks come from are still those that were opened."""
    try:
        for track in (clip._picture, clip._sound):
            if isinstance(track, FileVideo | FileAudio):
                track.index.stamp.check()
    except MediaError:
        return False
    return True


def _index(clip: Clip) -> MediaIndex | None:
    """That of the one file which holds all tracks of the clip."""
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
