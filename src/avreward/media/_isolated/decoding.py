"""Reading and decoding of files: in this process, or in a worker within the context `isolated`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avreward.media import _index, _waveform
from avreward.media._container import FileStamp, Limits
from avreward.media._index import MediaIndex
from avreward.media._isolated.messages import Message
from avreward.media._isolated.workers import active
from avreward.media._keys import files
from avreward.media._video import decode
from avreward.media._video.chosen import ChosenFrames
from avreward.media._video.decode import as_view, chosen_frames
from avreward.media._video.seek import video_track
from avreward.media._video.to_rgb import Orientation, Planes
from avreward.media.sampling import FramePlan

T = TypeVar("T")


def read_index(stamp: FileStamp, limits: Limits) -> MediaIndex:
    """Return the index of a file: see `avreward.media._index.read_index`."""
    pool = active()
    if pool is None:
        return _index.read_index(stamp, limits)
    return pool.ask_once(stamp, "index", stamp, limits, read=_read(MediaIndex))


def file_keys(index: MediaIndex) -> dict[str, str]:
    """Return the keys of a file's tracks: see `avreward.media._keys.files.file_keys`."""
    pool = active()
    if pool is None:
        return files.file_keys(index)
    return files.file_keys(index, lambda index: pool.ask_once(index.stamp, "keys", index, read=_keys))


def decode_orientation(index: MediaIndex) -> Orientation:
    """Return how the frames are turned for display."""
    pool = active()
    if pool is None:
        return decode.decode_orientation(index)
    return pool.ask_once(index.stamp, "orientation", index, read=_read(Orientation))


def decode_levels(index: MediaIndex, plans: Sequence[FramePlan]) -> list[NDArray[np.uint8]]:
    """Return for each plan its frames in 8 bits, (k, 3, height, width)."""
    pool = active()
    if pool is None:
        return decode.decode_levels(index, plans)
    # The plans' rules are applied here: they may be functions of the caller's script, which a worker can't import.
    times = video_track(index).times()
    chosen = [replace(plan, rule=ChosenFrames.of(chosen_frames(plan, times))) for plan in plans]
    return pool.ask_once(index.stamp, "levels", index, chosen, read=_arrays(len(plans), np.uint8, 4))


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
    for images in pool.ask(index.stamp, "images", index, read=_arrays(1, np.uint8, 3)):
        yield from images


def audio_blocks(index: MediaIndex) -> Iterator[Tensor]:
    """Yield the native audio from clip time 0, float32 (channels, any)."""
    pool = active()
    if pool is None:
        yield from _waveform.audio_blocks(index)
        return
    for blocks in pool.ask(index.stamp, "blocks", index, read=_arrays(1, np.float32, 2)):
        yield from map(torch.from_numpy, blocks)


class AudioBlocks:
    """The native audio of a file, decoded each time that it is read."""

    def __init__(self, index: MediaIndex) -> None:
        self._index = index

    def __iter__(self) -> Iterator[Tensor]:
        return audio_blocks(self._index)


def _read(kind: type[T]) -> Callable[[Message], T]:
    def read(answer: Message) -> T:
        if not isinstance(answer.content, kind):
            raise TypeError(f"expected {kind.__name__}, got {type(answer.content).__name__}")
        return answer.content

    return read


def _keys(answer: Message) -> dict[str, str]:
    return {str(track): str(key) for track, key in _read(dict)(answer).items()}


def _arrays(count: int, kind: type, dimensions: int) -> Callable[[Message], list[NDArray[Any]]]:
    def read(answer: Message) -> list[NDArray[Any]]:
        found = list(answer.arrays)
        if [(array.dtype, array.ndim) for array in found] != [(np.dtype(kind), dimensions)] * count:
            raise ValueError("other arrays than were asked for")
        return found

    return read
