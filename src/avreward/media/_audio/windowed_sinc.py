"""The low-pass filters of published resamplers, evaluated at any fraction of a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Resampler = Literal["julius", "ffmpeg", "librosa"]
"""Whose filter: julius' own, that of FFmpeg's libswresample, or librosa's default (soxr, high quality)."""
RESAMPLERS: tuple[Resampler, ...] = ("julius", "ffmpeg", "librosa")

_JULIUS_ZEROS, _JULIUS_ROLLOFF = 24, 0.945  # zero crossings on each side, and cut-off relative to the Nyquist rate
_FFMPEG_SIZE, _FFMPEG_CUTOFF, _FFMPEG_BETA = 32, 0.97, 9.0
# Of the impulse response of soxr 1.1 at its quality HQ, which is designed for a stop-band at the Nyquist rate.
_SOXR_HALF, _SOXR_CUTOFF, _SOXR_BETA = 96.8335, 0.95685, 13.04
_LARGEST_KERNEL = 2**22  # taps over all phases (16 MB); rates with no common factor would need gigabytes
_CHUNK = 2**22  # weights held at once where the kernel isn't


@dataclass(frozen=True)
class WindowedSinc:
    """How one input sample counts for an output sample that lies some samples away.

    Attributes:
        before: input samples read before the one at or before the output sample.
        after: those read after it.
        weight: of input samples at float64 distances from the output sample; the caller may normalise it.
        normalised: whether the weights of each output sample are divided by their sum, so that constants stay.
        edges: what stands beyond the first and the last sample: "held" ones, a "mirror" image (about the first sample,
            and about the edge behind the last one) or "zeros".
        rounds_up: whether a last output sample that the input reaches in part is given.
    """

    before: int
    after: int
    weight: Callable[[Tensor], Tensor]
    normalised: bool
    edges: Literal["held", "mirror", "zeros"]
    rounds_up: bool

    def weights(self, ahead: Tensor, dtype: torch.dtype) -> Tensor:
        """Return (n, taps) for output samples that lie `ahead` (n,) of a sample behind an input sample, float64."""
        taps = torch.arange(-self.before, self.after + 1, device=ahead.device)
        weights = self.weight(taps - ahead[:, None])
        if self.normalised:
            weights = weights / weights.sum(dim=1, keepdim=True)
        return weights.to(dtype)

    def padded(self, audio: Tensor, left: int, right: int) -> Tensor:
        """Return `audio` (…, samples) with `left` and `right` more samples at its ends."""
        if self.edges == "zeros":
            return F.pad(audio, (left, right))
        place = torch.arange(-left, audio.shape[-1] + right, device=audio.device)
        last = audio.shape[-1] - 1
        if self.edges == "mirror":
            place = torch.where(place < 0, -place, place)
            place = torch.where(place > last, 2 * last + 1 - place, place)
        return audio[..., place.clamp(0, last)]


@lru_cache(maxsize=64)
def windowed_sinc(resampler: Resampler, old: int, new: int) -> WindowedSinc:
    """Return the filter that `resampler` uses from `old` to `new`, in lowest terms."""
    if resampler == "ffmpeg":
        return _ffmpeg(old, new)
    return _soxr(old, new) if resampler == "librosa" else _julius(old, new)


def _julius(old: int, new: int) -> WindowedSinc:
    cutoff = min(old, new) * _JULIUS_ROLLOFF / old
    width = ceil(_JULIUS_ZEROS / cutoff)

    def weight(distance: Tensor) -> Tensor:
        phase = (distance * cutoff).clamp(-_JULIUS_ZEROS, _JULIUS_ZEROS)
        return torch.sinc(phase) * torch.cos(phase * (pi / 2 / _JULIUS_ZEROS)).square()

    return WindowedSinc(width, width, weight, True, "held", rounds_up=False)


def _ffmpeg(old: int, new: int) -> WindowedSinc:
    cutoff = min(new * _FFMPEG_CUTOFF / old, 1.0)
    taps = ceil(_FFMPEG_SIZE / cutoff)
    taps += taps % 2
    before = (taps - 1) // 2

    def weight(distance: Tensor) -> Tensor:
        window = (1 - (2 * distance / taps).square()).clamp_min(0).sqrt()
        return torch.sinc(distance * cutoff) * torch.special.i0(_FFMPEG_BETA * window)

    return WindowedSinc(before, taps - 1 - before, weight, True, "mirror", rounds_up=True)


def _soxr(old: int, new: int) -> WindowedSinc:
    nyquist = min(1.0, new / old)
    half, cutoff = _SOXR_HALF / nyquist, _SOXR_CUTOFF * nyquist
    top = float(torch.special.i0(torch.tensor(_SOXR_BETA, dtype=torch.float64)))

    def weight(distance: Tensor) -> Tensor:
        window = torch.special.i0(_SOXR_BETA * (1 - (distance / half).square()).clamp_min(0).sqrt()) / top
        return cutoff * torch.sinc(distance * cutoff) * window * (distance.abs() <= half)

    return WindowedSinc(ceil(half), ceil(half) + 1, weight, False, "zeros", rounds_up=True)


def fits_a_kernel(design: WindowedSinc, old: int, new: int) -> bool:
    """Return whether the weights of all phases are few enough to be tabulated."""
    return new * (design.before + design.after + 1 + old) <= _LARGEST_KERNEL


def by_kernel(audio: Tensor, resampler: Resampler, old: int, new: int, length: int) -> Tensor:
    """Return `length` samples of `audio` (…, samples) at the new rate: one convolution with a kernel a phase."""
    design = windowed_sinc(resampler, old, new)
    kernel = _kernel(resampler, old, new, audio.dtype, audio.device)
    blocks = -(-length // new)
    right = (blocks - 1) * old - design.before + kernel.shape[-1] - audio.shape[-1]
    padded = design.padded(audio, design.before, max(0, right))
    out = F.conv1d(padded.reshape(-1, 1, padded.shape[-1]), kernel, stride=old)  # (signals, phases, blocks)
    return out.transpose(1, 2).reshape(*audio.shape[:-1], -1)[..., :length]


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _kernel(resampler: Resampler, old: int, new: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (new, 1, taps): row j holds the weights of the j-th of `new` output samples among `old` input samples."""
    design = windowed_sinc(resampler, old, new)
    phases = torch.arange(new)
    nearest = phases * old // new
    weights = design.weights((phases * old - nearest * new).to(torch.float64) / new, dtype)
    kernel = torch.zeros(new, weights.shape[1] + int(nearest[-1]), dtype=dtype)
    kernel.scatter_(1, nearest[:, None] + torch.arange(weights.shape[1]), weights)
    return kernel[:, None].to(device)


def directly(audio: Tensor, resampler: Resampler, old: int, new: int, length: int) -> Tensor:
    """Return what `by_kernel` does, with the filter evaluated at each output sample."""
    design = windowed_sinc(resampler, old, new)
    taps = design.before + design.after + 1
    reach = (length - 1) * old // new + design.after + 1
    padded = design.padded(audio, design.before, max(0, reach - audio.shape[-1]))
    pieces = []
    for start in range(0, length, max(1, _CHUNK // taps)):
        step = torch.arange(start, min(length, start + max(1, _CHUNK // taps)), device=audio.device)
        nearest = torch.div(step * old, new, rounding_mode="floor")
        # exact, so that long audio doesn't drift
        weights = design.weights((step * old - nearest * new).to(torch.float64) / new, audio.dtype)
        source = nearest[:, None] + torch.arange(taps, device=audio.device)
        pieces.append(torch.einsum("...nk,nk->...n", padded[..., source], weights))
    return torch.cat(pieces, dim=-1)
