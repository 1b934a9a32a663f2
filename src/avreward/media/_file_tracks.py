"""Video and audio tracks of a file, decoded on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, cast
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avreward.errors import AvrewardError, MediaError
from avreward.media._audio.windowed_sinc import Resampler
from avreward.media._index import IndexedAudio, IndexedVideo, MediaIndex
from avreward.media._isolated.decoding import (
    AudioBlocks,
    audio_blocks,
    decode_images,
    decode_levels,
    decode_orientation,
    decode_planes,
    decode_views,
    file_keys,
    read_index,
)
from avreward.media._keys.late import LateKey
from avreward.media._keys.tensors import tensor_key
from avreward.media._video.to_rgb import Orientation, Planes
from avreward.media._waveform import decode_audio, decode_spans
from avreward.media.sampling import FramePlan

MOST_SAMPLES = 2**26  # of all channels, that are kept for several readers: 256 MB, eleven minutes of stereo at 48 kHz


class _FileContent:
    """Makes the key of a track when it is first asked for; it keeps no time stamps, which an hour has many of."""

    def __init__(self, track: FileVideo | FileAudio) -> None:
        self._track, self._kind = ref(track), type(track)
        self._opened = track.index.stamp, track.index.limits
        self._known: str | None = vars(track).get("key")

    def __call__(self) -> str | None:
        if self._known is None:
            try:
                self._known = (self._track() or self._kind(read_index(*self._opened))).key
            except AvrewardError:  # deleted or replaced since; whoever decodes this track gets the error
                return None
        return self._known


class _FileTrack(ABC):
    """What the tracks of a file have in common: their content alone is the key, and there is no graph."""

    @property
    @abstractmethod
    def track(self) -> IndexedVideo | IndexedAudio: ...

    @property
    def loaded_key(self) -> Hashable:
        return LateKey(self.track.glance, _FileContent(cast("FileVideo | FileAudio", self)))

    @property
    def work_key(self) -> Hashable:
        return self.loaded_key

    @property
    def requires_grad(self) -> bool:
        return False

    def detached(self) -> Self:
        """Return the track itself."""
        return self


@dataclass(frozen=True, eq=False)
class FileVideo(_FileTrack):
    """Video track of a file, decoded on demand; its orientation and key may be known already."""

    index: MediaIndex
    known_orientation: Orientation | None = None
    known_key: str | None = None

    @property
    def track(self) -> IndexedVideo:
        assert self.index.picture is not None
        return self.index.picture

    @cached_property
    def times(self) -> Tensor:
        return self.track.times()

    @property
    def end(self) -> float:
        return self.track.end

    @cached_property
    def step(self) -> float:
        return self.track.step()

    @cached_property
    def orientation(self) -> Orientation:
        return self.known_orientation or decode_orientation(self.index)

    @property
    def size(self) -> tuple[int, int]:
        return self.orientation.size(self.track.height, self.track.width)

    @cached_property
    def key(self) -> str:
        return self.known_key or tensor_key(file_keys(self.index)["video"], repr(self.orientation))

    def views(self, plans: Sequence[FramePlan]) -> list[Tensor]:
        """Return for each plan its frames, float32 (k, 3, height, width), from one pass over the file."""
        return decode_views(self.index, plans)

    def levels(self, plans: Sequence[FramePlan]) -> list[NDArray[np.uint8]]:
        """Return for each plan its frames in 8 bits, (k, 3, height, width), as `views` does."""
        return decode_levels(self.index, plans)

    def planes(self, plans: Sequence[FramePlan]) -> list[Sequence[Planes]]:
        """Return for each plan its frames in 8 bits, (height, width) of each colour."""
        return decode_planes(self.index, plans)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames one by one as 8-bit RGB, (height, width, 3)."""
        return decode_images(self.index)


@dataclass(frozen=True, eq=False)
class FileAudio(_FileTrack):
    """Audio track of a file, decoded on demand; its key may be known already."""

    index: MediaIndex
    known_key: str | None = None

    @property
    def track(self) -> IndexedAudio:
        assert self.index.sound is not None
        return self.index.sound

    @property
    def rate(self) -> int:
        return self.track.rate

    @property
    def channels(self) -> int:
        return self.track.channels

    @property
    def end(self) -> float:
        return self.track.end

    @cached_property
    def key(self) -> str:
        return self.known_key or file_keys(self.index)["audio"]

    def samples(self, rate: int | None, channels: int | None, resampler: Resampler = "julius") -> Tensor:
        """Return the waveform, float32 (channels, samples)."""
        return decode_audio(self.index, rate, channels, AudioBlocks(self.index), resampler=resampler)

    def spans(
        self, spans: Sequence[tuple[float, float]], rate: int, channels: int, resampler: Resampler = "julius"
    ) -> list[Tensor]:
        """Return parts of the waveform, (start, stop) in seconds each, decoded in one pass."""
        return decode_spans(self.index, spans, rate, channels, AudioBlocks(self.index), resampler=resampler)

    def blocks(self) -> Iterator[Tensor]:
        """Yield the waveform in pieces, float32 (channels, samples)."""
        return audio_blocks(self.index)


class SharedTrack:
    """A track of a file that several readers share: the same content under the same keys."""

    _track: FileVideo | FileAudio

    @property
    def end(self) -> float:
        return self._track.end

    @property
    def key(self) -> str:
        return self._track.key

    @property
    def work_key(self) -> Hashable:
        return self._track.work_key

    @property
    def loaded_key(self) -> Hashable:
        return self._track.loaded_key

    @property
    def requires_grad(self) -> bool:
        return False

    def detached(self) -> Self:
        """Return the track itself."""
        return self


class SharedAudio(SharedTrack):
    """The audio of a file, decoded once and kept at its native rate; what does not fit `MOST_SAMPLES` is not kept."""

    _track: FileAudio

    def __init__(self, track: FileAudio) -> None:
        self._track = track
        fits = track.end * track.rate * track.channels <= MOST_SAMPLES
        self._blocks = KeptBlocks(audio_blocks(track.index)) if fits else AudioBlocks(track.index)

    @property
    def rate(self) -> int:
        return self._track.rate

    @property
    def channels(self) -> int:
        return self._track.channels

    def samples(self, rate: int | None, channels: int | None, resampler: Resampler = "julius") -> Tensor:
        """Return the waveform, float32 (channels, samples)."""
        return decode_audio(self._track.index, rate, channels, self._blocks, resampler)

    def spans(
        self, spans: Sequence[tuple[float, float]], rate: int, channels: int, resampler: Resampler = "julius"
    ) -> list[Tensor]:
        """Return parts of the waveform, (start, stop) in seconds each."""
        return decode_spans(self._track.index, spans, rate, channels, self._blocks, resampler)

    def blocks(self) -> Iterator[Tensor]:
        """Yield the waveform in pieces, float32 (channels, samples)."""
        return iter(self._blocks)


class KeptBlocks:
    """What an iterator yields, kept, so that it can be read again; it is advanced only as far as someone reads.

    >>> blocks = KeptBlocks(iter([1, 2]))
    >>> list(blocks), list(blocks)
    ([1, 2], [1, 2])
    """

    def __init__(self, source: Iterator[Tensor]) -> None:
        self._source = source
        self._kept: list[Tensor] = []
        self._error: MediaError | None = None

    def __iter__(self) -> Iterator[Tensor]:
        here = 0
        while here < len(self._kept) or self._advance():
            yield self._kept[here]
            here += 1

    def _advance(self) -> bool:
        if self._error is not None:
            raise self._error
        try:
            block = next(self._source, None)
        except MediaError as error:
            self._error = error
            raise
        if block is not None:
            self._kept.append(block)
        return block is not None
