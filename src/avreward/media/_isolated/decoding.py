"""Reading and decoding of files: in this process, or in a worker within the context `isolated`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avreward.media import _index, _waveform
from avreward.media._container import FileStamp, Limits
from avreward.media._index import MediaIndex
from avreward.media._isolated.workers import active
from avreward.media._keys import files
from avreward.media._video import decode
from avreward.media._video.chosen import ChosenFrames
from avreward.media._video.decode import as_view, chosen_frames
from avreward.media._video.seek import video_track
from avreward.media._video.to_rgb import Orientation, Planes
from avreward.media.sampling import FramePlan


def read_index(stamp: FileStamp, limits: Limits) -> MediaIndex:
    """Return the index of a file: see `avreward.media._index.read_index`."""
    return _index.read_index(stamp, limits) if active() is None else _value(stamp, "index", stamp, limits)


def file_keys(index: MediaIndex) -> dict[str, str]:
    """Return the keys of a file's tracks: see `avreward.media._keys.files.file_keys`."""
    return files.file_keys(index, files.hash_packets if active() is None else _hashed)


def decode_orientation(index: MediaIndex) -> Orientation:
    """Return how the frames are turned for display."""
    return decode.decode_orientation(index) if active() is None else _value(index.stamp, "orientation", index)


def decode_levels(index: MediaIndex, plans: Sequence[FramePlan]) -> list[NDArray[np.uint8]]:
    """Return for each plan its frames in 8 bits, (k, 3, height, width)."""
    pool = active()
    if pool is None:
        return decode.decode_levels(index, plans)
    # The plans' rules are applied here: they may be functions of the caller's script, which a worker can't import.
    times = video_track(index).times()
    chosen = [replace(plan, rule=ChosenFrames.of(chosen_frames(plan, times))) for plan in plans]
    [answer] = pool.ask(index.stamp, "levels", index, chosen)
    return list(answer.arrays)


def decode_planes(index: MediaIndex, plans: Sequence[FramePlan]) -> list[Sequence[Planes]]:
    """Return for each plan its frames in 8 bits, (height, width) of each colour."""
    if active() is None:
        return decode.decode_planes(index, plans)
    return cast("list[Sequence[Planes]]", decode_levels(index, plans))


def decode_views(index: MediaIndex, plans: Sequence[FramePlan]) -> list[Tensor]:
    """Return for each plan its frames, float32 (k, 3, height, width) in [0, 1]."""
    if active() is None:
        return decode.decode_views(index, plans)
    return [as_view(levels) for levels in decode_levels(index, plans)]


def decode_images(index: MediaIndex) -> Iterator[NDArray[np.uint8]]:
    """Yield all frames one by one, as 8-bit RGB (height, width, 3)."""
    pool = active()
    if pool is None:
        yield from decode.decode_images(index)
        return
    for answer in pool.ask(index.stamp, "images", index):
        yield from answer.arrays


def audio_blocks(index: MediaIndex) -> Iterator[Tensor]:
    """Yield the native audio from clip time 0, float32 (channels, any)."""
    pool = active()
    if pool is None:
        yield from _waveform.audio_blocks(index)
        return
    for answer in pool.ask(index.stamp, "blocks", index):
        yield from map(torch.from_numpy, answer.arrays)


class AudioBlocks:
    """The native audio of a file, decoded each time that it is read."""

    def __init__(self, index: MediaIndex) -> None:
        self._index = index

    def __iter__(self) -> Iterator[Tensor]:
        return audio_blocks(self._index)


def _hashed(index: MediaIndex) -> dict[str, str]:
    found: dict[str, str] = _value(index.stamp, "keys", index)
    return found


def _value(stamp: FileStamp, kind: str, *content: Any) -> Any:
    pool = active()
    assert pool is not None
    [answer] = pool.ask(stamp, kind, *content)
    return answer.content
