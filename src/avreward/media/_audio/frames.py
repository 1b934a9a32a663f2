"""Parts of decoded audio frames of any format, and their conversion to floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from avreward.media._channels import usual_order
from avreward.media._container import DAMAGED, translated
from avreward.media._index import IndexedAudio, MediaIndex

_KINDS = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}
UNCONVERTIBLE = "its audio cannot be converted", DAMAGED[1]


class Piece(NamedTuple):
    """Samples `start` … `stop` of a decoded frame, or of silence (None), with its channels in `order` (None: as is)."""

    frame: AudioFrame | None
    order: list[int] | None
    start: int
    stop: int

    def after(self, count: int) -> Piece:
        """Return it without its first `count` samples."""
        return self if count == 0 else self._replace(start=min(self.stop, self.start + count))

    def until(self, count: int) -> Piece:
        """Return its first `count` samples."""
        return self._replace(stop=min(self.stop, self.start + count))


class FrameAdapter:
    """Brings what a decoder gives to the track's rate and number of channels; a file may change them on the way."""

    def __init__(self, index: MediaIndex, track: IndexedAudio) -> None:
        self._path, self._track, self._order = index.stamp.path, track, usual_order(track.names)
        self._resampler: AudioResampler | None = None
        self._for: tuple[object, ...] = ()

    def __call__(self, frame: AudioFrame) -> list[tuple[float | None, Piece]]:
        """Return (time, samples) pairs for one frame; raise `MediaError` where it cannot be converted."""
        if frame.sample_rate == self._track.rate and frame.layout.nb_channels == self._track.channels:
            return [(frame.time, Piece(frame, self._order, 0, frame.samples))]
        with translated(self._path, *UNCONVERTIBLE):
            kind = (frame.sample_rate, frame.layout.name, frame.format.name)
            if self._resampler is None or kind != self._for:  # files glued together
                self._resampler, self._for = AudioResampler("fltp", f"{self._track.channels}c", self._track.rate), kind
            return [(piece.time, Piece(piece, None, 0, piece.samples)) for piece in self._resampler.resample(frame)]


def floats(pieces: Sequence[Piece], channels: int) -> NDArray[np.float32]:
    """Return the pieces one after the other, float32 (channels, samples)."""
    each = [_samples(piece, channels) for piece in pieces]
    if len({rows[0].dtype for rows in each}) > 1:
        each = [[_floats(row) for row in rows] for rows in each]
    whole = np.empty((channels, sum(piece.stop - piece.start for piece in pieces)), each[0][0].dtype)
    for channel, row in enumerate(whole):
        np.concatenate([rows[channel] for rows in each], out=row)
    return _floats(whole)


def _samples(piece: Piece, channels: int) -> Sequence[NDArray[Any]]:
    """Return the samples of a piece in their own format, (samples,) of each channel: views of the frame's memory."""
    frame, order, start, stop = piece
    if frame is None:
        return [np.zeros(stop - start, np.float32)] * channels
    kind = _KINDS[frame.format.name.removesuffix("p")]
    rows = [np.frombuffer(memoryview(plane), kind) for plane in frame.planes]
    if not frame.format.is_planar:  # the channels lie side by side, and padding behind them
        rows = [rows[0][channel : frame.samples * channels : channels] for channel in range(channels)]
    return [row[start:stop] for row in (rows if order is None else [rows[number] for number in order])]


def _floats(data: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return samples of any format as floats, full scale being 1."""
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinity, which is refused later
        found: NDArray[np.float32] = np.ascontiguousarray(data, dtype=np.float32)
    if data.dtype == np.uint8:
        found -= 128
        found /= 128
    elif data.dtype.kind == "i":
        found *= np.float32(2.0 ** (1 - 8 * data.dtype.itemsize))
    return found
