"""CLAP's log-mel spectrogram, differentiable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import MediaError, unknown_name
from avreward.media._precision import full_precision, product, widened

Truncation = Literal["fusion", "rand_trunc"]
Padding = Literal["repeatpad", "repeat", "pad"]
_FLOOR = 1e-10


@dataclass(frozen=True)
class ClapMel:
    """The spectrogram of Wu et al., 2023 (arXiv:2211.06687), as ``ClapFeatureExtractor`` computes it.

    Called with `audio`, float (samples,) at `rate` Hz, it gives float (views, frames, bins): power in `bins` mel bands
    from `low` to `high` Hz in decibels, `seconds` long. Shorter audio is repeated or padded according to `padding`. Of
    longer audio,

    - ``"rand_trunc"`` takes one window, which the original draws at random: here it is the middle one;
    - ``"fusion"`` has four views: all of it, shrunk to the length of a window, and a window from each third, which the
      original draws at random: here the middle one of each. Short audio has four equal views.

    Raises:
        UnknownNameError: for an unknown `truncation` or `padding`.
        MediaError: when called, for audio without samples.

    Example:
        >>> ClapMel(truncation="fusion")(torch.zeros(48000)).shape
        torch.Size([4, 1001, 64])
    """

    truncation: Truncation
    padding: Padding = "repeatpad"
    rate: int = 48000
    seconds: int = 10
    points: int = 1024
    hop: int = 480
    bins: int = 64
    low: float = 0.0
    high: float = 14000.0

    def __post_init__(self) -> None:
        for name, kinds in (("truncation", Truncation), ("padding", Padding)):
            if getattr(self, name) not in get_args(kinds):
                raise unknown_name(name, getattr(self, name), get_args(kinds))

    @classmethod
    def of(cls, files: Mapping[str, Any], otherwise: Self) -> Self:
        """Return the settings of a checkpoint's preprocessor files; `otherwise` has the defaults."""
        names = {
            "truncation": "truncation",
            "padding": "padding",
            "rate": "sampling_rate",
            "seconds": "max_length_s",
            "points": "fft_window_size",
            "hop": "hop_length",
            "bins": "feature_size",
            "low": "frequency_min",
            "high": "frequency_max",
        }
        return cls(**{ours: files.get(theirs, getattr(otherwise, ours)) for ours, theirs in names.items()})

    @property
    def window(self) -> int:
        """Samples of one input of the encoder."""
        return self.seconds * self.rate

    def __call__(self, audio: Tensor) -> Tensor:
        """Return float (1 or 4, frames, bins)."""
        if audio.shape[-1] == 0:
            raise MediaError("audio", "it has no samples", "give a clip with audio")
        if self.truncation == "rand_trunc":
            start = max(0, len(audio) - self.window) // 2
            return _decibels(self._filled(audio[start : start + self.window]), self)[None]
        if len(audio) <= self.window:
            return _decibels(self._filled(audio), self).expand(4, -1, -1)
        whole = _decibels(audio, self)
        frames = self.window // self.hop + 1
        shrunk = F.interpolate(whole[None, None], (frames, self.bins), mode="bilinear", align_corners=False)[0, 0]
        starts = torch.arange(len(whole) - frames + 1).tensor_split(3)
        middles = [int(third[len(third) // 2]) if len(third) else 0 for third in starts]
        return torch.stack([shrunk, *(whole[start : start + frames] for start in middles)])

    def _filled(self, audio: Tensor) -> Tensor:
        """Make (samples,) as long as a window."""
        if len(audio) < self.window and self.padding != "pad":
            audio = audio.repeat(self.window // len(audio) + (self.padding == "repeat"))[: self.window]
        return F.pad(audio, (0, self.window - len(audio)))


@full_precision
def _decibels(audio: Tensor, mel: ClapMel) -> Tensor:
    """Return (frames, bins) for (samples,), with the audio mirrored at both ends."""
    wide = widened(audio)
    window = torch.hann_window(mel.points, dtype=wide.dtype, device=wide.device)
    spectrum = torch.stft(wide, mel.points, mel.hop, window=window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()  # (points/2 + 1, frames)
    bands = product(power.T, _bands(mel).to(power))
    return (10 * bands.clamp(min=_FLOOR).log10()).to(audio.dtype)


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _bands(mel: ClapMel) -> Tensor:
    """Return float64 (points/2 + 1, bins): triangles between peaks that are even in mel.

    With fusion, mel as HTK has it and triangles of height one; without, Slaney's mel and triangles of area one.
    """
    hertz = torch.linspace(0, mel.rate / 2, mel.points // 2 + 1, dtype=torch.float64)
    slaney = mel.truncation != "fusion"
    ends = _to_mel(torch.tensor([mel.low, mel.high], dtype=torch.float64), slaney)
    steps = torch.linspace(0, 1, mel.bins + 2, dtype=torch.float64)
    edges = _to_hertz(ends[0] + (ends[1] - ends[0]) * steps, slaney)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hertz[:, None] - left) / (peak - left), (right - hertz[:, None]) / (right - peak)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return triangles * 2 / (right - left) if slaney else triangles


# Slaney's scale: linear up to 1 kHz, which is mel 15; above, 27 mel for each factor of 6.4.
_STEP = torch.tensor(6.4, dtype=torch.float64).log() / 27


def _to_mel(hertz: Tensor, slaney: bool) -> Tensor:
    if not slaney:
        return 2595 * (1 + hertz / 700).log10()
    return torch.where(hertz < 1000, hertz * 3 / 200, 15 + (hertz.clamp(min=1) / 1000).log() / _STEP)


def _to_hertz(mel: Tensor, slaney: bool) -> Tensor:
    if not slaney:
        return 700 * (10 ** (mel / 2595) - 1)
    return torch.where(mel < 15, mel * 200 / 3, 1000 * ((mel - 15) * _STEP).exp())
