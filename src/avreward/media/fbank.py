"""Kaldi's log-mel filter bank (`fbank`), differentiable, with the settings of BEATs and AGAV-Rater."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

from avreward.errors import ArgumentError, MediaError, unknown_name
from avreward.media._precision import full_precision, product, widened
from avreward.media.rounding import Rounding, to_bfloat16

Window = Literal["povey", "hann", "hamming"]
_FLOOR = torch.finfo(torch.float32).eps  # the smallest value that Kaldi takes the logarithm of
_BEATS_MEAN, _BEATS_DEVIATION = 15.41663, 6.55582


@dataclass(frozen=True)
class Fbank:
    """Kaldi's ``compute-fbank-feats`` without dither and energy; whole windows only (``snip_edges``).

    Called with `audio`, float (…, samples) in [−1, 1], it gives (…, windows, bins): the natural logarithm of the power
    in `bins` triangles spaced evenly on the mel scale ``1127·ln(1 + f/700)`` between `low` and `high` Hz, floored at
    the float32 epsilon. There are ``1 + (samples − length) // shift`` windows, none if the audio is shorter than one.
    Differentiable, with a finite gradient (zero) on silence; float32 and float64 are computed as such, other types in
    float32.

    - `rate`: samples a second of `audio`.
    - `length`, `shift`: of a window, in seconds.
    - `high`: *optional*, the Nyquist frequency if absent.
    - `window`: ``"povey"`` is Hann's to the power 0.85.
    - `preemphasis`: factor of the previous sample that is subtracted from each sample.
    - `remove_offset`: whether the mean of each window is subtracted first.
    - `scale`: factor of the samples; Kaldi's models expect 16-bit numbers, hence 2¹⁵.

    Raises:
        ArgumentError: if a setting is out of range, or `window` is unknown.
        MediaError: when called, if `audio` is not floating.

    Example:
        >>> Fbank(bins=40)(torch.zeros(2, 16000)).shape
        torch.Size([2, 98, 40])
    """

    rate: int = 16000
    bins: int = 128
    length: float = 0.025
    shift: float = 0.01
    low: float = 20.0
    high: float | None = None
    window: Window = "povey"
    preemphasis: float = 0.97
    remove_offset: bool = True
    scale: float = 32768.0

    def __post_init__(self) -> None:
        for name, scale, least in (("rate", 1, 1), ("bins", 1, 1), ("length", self.rate, 2), ("shift", self.rate, 1)):
            if getattr(self, name) * scale < least:
                raise ArgumentError(name, f"a number of at least {least / scale}", getattr(self, name))
        if self.window not in get_args(Window):
            raise unknown_name("window", self.window, get_args(Window))
        if not 0 <= self.low < self.top <= self.rate / 2:
            raise ArgumentError("low, high", f"ascending within 0 … {self.rate / 2} Hz", (self.low, self.high))

    def __call__(self, audio: Tensor) -> Tensor:
        """Return float (…, windows, bins) for `audio`, float (…, samples) in [−1, 1]."""
        return _fbank(audio, self)

    @property
    def top(self) -> float:
        """The upper edge of the highest triangle in Hz: `high`, or the Nyquist frequency."""
        return self.rate / 2 if self.high is None else self.high


def beats_fbank(audio: Tensor, rounding: Rounding = "straight_through") -> Tensor:
    """Return the input of BEATs in AGAV-Rater: the filter bank, rounded to bfloat16 and normalised.

    `audio`: float (…, samples) in [−1, 1], 16 kHz; returns (…, windows, 128). The original keeps the spectrogram in
    bfloat16, subtracts 15.41663 and divides by 2·6.55582 in its working precision (here that of `audio`); plain BEATs
    does not round (``rounding="none"``).

    >>> round(float(beats_fbank(torch.zeros(400))[0, 0]), 4)
    -2.3913
    """
    return (to_bfloat16(Fbank()(audio), rounding) - _BEATS_MEAN) / (2 * _BEATS_DEVIATION)


@full_precision
def _fbank(audio: Tensor, about: Fbank) -> Tensor:
    if not audio.is_floating_point():
        raise MediaError("audio", f"{audio.dtype} is not floating", "convert to float in -1 ... 1")
    wide = widened(audio)
    size, step = int(about.rate * about.length), int(about.rate * about.shift)  # Kaldi truncates
    if wide.shape[-1] < size:
        return audio.new_zeros(*audio.shape[:-1], 0, about.bins)
    frames = wide.unfold(-1, size, step) * about.scale  # (…, windows, size)
    if about.remove_offset:
        frames = frames - frames.mean(dim=-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)  # the first sample precedes itself
    frames = (frames - about.preemphasis * before) * _window(about.window, size).to(frames)
    points = 1 << (size - 1).bit_length()
    spectrum = torch.fft.rfft(frames, n=points)[..., :-1]  # no triangle reaches the Nyquist frequency
    power = spectrum.real.square() + spectrum.imag.square()
    energy = product(power, _triangles(about.rate, points, about.bins, about.low, about.top).to(power))
    return energy.clamp(min=_FLOOR).log().to(audio.dtype)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _window(kind: Window, size: int) -> Tensor:
    if kind == "hamming":
        return torch.hamming_window(size, periodic=False, dtype=torch.float64)
    hann = torch.hann_window(size, periodic=False, dtype=torch.float64)
    return hann**0.85 if kind == "povey" else hann


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _triangles(rate: int, points: int, bins: int, low: float, high: float) -> Tensor:
    """Return float64 (points/2, bins): triangles in mel, each from the peak of one neighbour to that of the other."""
    mel = _mel(torch.arange(points // 2, dtype=torch.float64) * rate / points)[:, None]
    span = _mel(torch.tensor([low, high], dtype=torch.float64))
    edges = torch.linspace(float(span[0]), float(span[1]), bins + 2, dtype=torch.float64)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    return torch.minimum((mel - left) / (peak - left), (right - mel) / (right - peak)).clamp(min=0)


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * (hertz / 700.0).log1p()
