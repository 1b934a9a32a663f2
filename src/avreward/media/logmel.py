"""Whisper's log-mel spectrogram, differentiable: the audio input of Whisper, Qwen2-Audio and Qwen2.5-Omni."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, MediaError
from avreward.media._precision import full_precision, product, widened

_RATE, _POINTS, _HOP = 16000, 400, 160
_FLOOR = 1e-10


@dataclass(frozen=True)
class LogMel:
    """The spectrogram of Radford et al., 2022 (arXiv:2212.04356), as ``WhisperFeatureExtractor`` computes it.

    Called with `audio`, float (…, samples) at 16 kHz, it gives (…, bins, samples // 160): power in `bins` mel bands, in
    log10 over four decades less one, nothing more than eight decades under the loudest point. Each item of the leading
    dimensions is scaled by its own loudest point. Differentiable, with a finite gradient (zero) on silence; float32 and
    float64 are computed as such, other types in float32.

    - `bins`: 80, or 128 for the large-v3 family and the Qwen models.
    - `samples`: the length to which audio is cut or padded with zeros, 30 s as in the original; *optional*: ``None``
      keeps its length, which must then be at least 201 samples.

    Raises:
        ArgumentError: if `bins` or `samples` is too small.
        MediaError: when called, if `audio` is not floating or too short.

    Example:
        >>> LogMel(bins=128)(torch.zeros(2, 16000)).shape
        torch.Size([2, 128, 3000])
    """

    bins: int = 80
    samples: int | None = 480_000

    def __post_init__(self) -> None:
        for name, least in (("bins", 1), ("samples", _POINTS)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ArgumentError(name, f"an integer of at least {least}", value)

    def __call__(self, audio: Tensor) -> Tensor:
        """Return float (…, bins, samples // 160) for `audio`, float (…, samples) at 16 kHz."""
        return _log_mel(audio, self.bins, self.samples)


@full_precision
def _log_mel(audio: Tensor, bins: int, samples: int | None) -> Tensor:
    if not audio.is_floating_point():
        raise MediaError("audio", f"{audio.dtype} is not floating", "convert to float in -1 ... 1")
    wide = widened(audio)
    if samples is not None:
        wide = F.pad(wide[..., :samples], (0, max(0, samples - wide.shape[-1])))
    elif wide.shape[-1] <= _POINTS // 2:
        raise MediaError("audio", f"{wide.shape[-1]} samples are too few", f"give more than {_POINTS // 2}")
    window = torch.hann_window(_POINTS, dtype=wide.dtype, device=wide.device)
    flat = wide.reshape(-1, wide.shape[-1])
    spectrum = torch.stft(flat, _POINTS, _HOP, window=window, return_complex=True)[..., :-1]
    power = spectrum.real.square() + spectrum.imag.square()  # (items, 201, windows)
    level = product(_triangles(bins).to(power), power).clamp(min=_FLOOR).log10()
    level = torch.maximum(level, level.amax(dim=(-2, -1), keepdim=True) - 8.0)
    return ((level + 4.0) / 4.0).reshape(*audio.shape[:-1], *level.shape[-2:]).to(audio.dtype)


def _triangles(bins: int) -> Tensor:
    return slaney_triangles(bins, _POINTS, _RATE, _RATE / 2)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def slaney_triangles(bins: int, points: int, rate: int, top_hertz: float) -> Tensor:
    """Return float64 (bins, points // 2 + 1): triangles in Hz between peaks that are even in Slaney's mel.

    They reach from 0 to `top_hertz`, each of area one; `points` and `rate` are those of the Fourier transform.
    """
    hertz = torch.linspace(0, rate / 2, points // 2 + 1, dtype=torch.float64)
    # Slaney's scale: linear up to 1 kHz, which is mel 15; above, 27 mel for each factor of 6.4
    top = 15 + 27 * log(top_hertz / 1000) / log(6.4)
    mel = torch.linspace(0, top, bins + 2, dtype=torch.float64)
    edges = torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * log(6.4) / 27))[:, None]
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    heights = torch.minimum((hertz - left) / (peak - left), (right - hertz) / (right - peak)).clamp(min=0)
    return heights * 2 / (right - left)
