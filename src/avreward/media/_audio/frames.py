"""Convert decoded audio frames of any format to floats."""

from __future__ import annotations

import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray
from torch import Tensor

from avreward.media._channels import usual_order
from avreward.media._index import IndexedAudio


class FrameAdapter:
    """Converts what a decoder gives, whatever its format, to float32 (channels, samples) at the track's rate."""

    def __init__(self, track: IndexedAudio) -> None:
        self._track, self._order = track, usual_order(track.names)
        self._resampler: AudioResampler | None = None
        self._for: tuple[object, ...] = ()

    def __call__(self, frame: AudioFrame) -> list[tuple[float | None, Tensor]]:
        """Return (time, samples) pairs for one frame."""
        if (frame.sample_rate, frame.layout.nb_channels) == (self._track.rate, self._track.channels):
            floats = _floats(frame)
            return [(frame.time, torch.from_numpy(floats if self._order is None else floats[self._order]))]
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if self._resampler is None or kind != self._for:  # files glued together may change their rate on the way
            self._resampler, self._for = AudioResampler("fltp", f"{self._track.channels}c", self._track.rate), kind
        return [(piece.time, torch.from_numpy(_floats(piece))) for piece in self._resampler.resample(frame)]


def _floats(frame: AudioFrame) -> NDArray[np.float32]:
    data = frame.to_ndarray()  # planar: (channels, samples), packed: (1, samples * channels)
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinity, which is refused later
        floats: NDArray[np.float32] = np.ascontiguousarray(data, dtype=np.float32)
    if data.dtype == np.uint8:
        floats -= 128
        floats /= 128
    elif data.dtype.kind == "i":
        floats *= np.float32(2.0 ** (1 - 8 * data.dtype.itemsize))
    return floats
