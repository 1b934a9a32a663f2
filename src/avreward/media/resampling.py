"""Change sample rate, channel count and length of audio, differentiably."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil, gcd, pi

import torch
from julius.resample import ResampleFrac
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, MediaError
from avreward.media._precision import full_precision, widened

_ZEROS, _ROLLOFF = 24, 0.945  # julius' defaults: zero crossings on each side, and cut-off relative to the Nyquist rate
_LARGEST_KERNEL = 2**22  # taps over all phases (16 MB); rates with no common factor would need gigabytes
_CHUNK = 2**22  # weights held at once where the kernel isn't
_CANCELLED = 1e-3  # −30 dB
_SQRT_HALF = 0.5**0.5
# Rows left and right over the usual order: L R C [LFE] then pairs of surrounds. BS.775 leaves the LFE out.
_BS775 = {
    5: ((1, 0, _SQRT_HALF, _SQRT_HALF, 0), (0, 1, _SQRT_HALF, 0, _SQRT_HALF)),
    6: ((1, 0, _SQRT_HALF, 0, _SQRT_HALF, 0), (0, 1, _SQRT_HALF, 0, 0, _SQRT_HALF)),
    8: (
        (1, 0, _SQRT_HALF, 0, _SQRT_HALF, 0, _SQRT_HALF, 0),
        (0, 1, _SQRT_HALF, 0, 0, _SQRT_HALF, 0, _SQRT_HALF),
    ),
}


@full_precision
def resample(audio: Tensor, old_rate: int, new_rate: int) -> Tensor:
    """Change the sample rate by windowed-sinc interpolation (julius' filter), differentiably.

    `audio`: float (…, samples) at `old_rate` Hz; returns float (…, floor(samples·new_rate/old_rate)) of its dtype, the
    first sample at the same time as before. The edges are held, a constant stays the constant it was. Half precision is
    computed in float32.

    Raises:
        ArgumentError: if a rate is not a positive integer.

    Example:
        >>> resample(torch.ones(2, 44101), 44100, 16000).shape
        torch.Size([2, 16000])
    """
    for name, rate in (("old_rate", old_rate), ("new_rate", new_rate)):
        if not 0 < rate < 2**31 or rate != int(rate):
            raise ArgumentError(name, "a positive integer, a sample rate in Hz", rate)
    common = gcd(int(old_rate), int(new_rate))
    old, new = int(old_rate) // common, int(new_rate) // common
    if old == new:
        return audio
    length = audio.shape[-1] * new // old
    if length == 0:
        return audio[..., :0]
    wide = widened(audio)
    if new * (2 * _half_width(old, new) + old) <= _LARGEST_KERNEL:
        out = _resampler(old, new, wide.dtype, wide.device)(wide, output_length=length)
    else:
        out = _resample_directly(wide, old, new, length)
    return out.to(audio.dtype)


def remix(audio: Tensor, channels: int) -> Tensor:
    """Change the number of channels to one or two, differentiably.

    `audio`: float (…, channels, samples) to float (…, `channels`, samples). Mono becomes stereo by repetition, stereo
    becomes mono as the mean; where that cancels the channels (it is more than 30 dB below them, as with opposite
    channels), half of their difference is taken, since what people hear in stereo is not silence. 5.0, 5.1 and 7.1
    audio (L, R, C, LFE, then pairs of surrounds) becomes stereo after ITU-R BS.775: `left = L + C/√2 + Ls/√2`, without
    the LFE and without attenuation, so that the front keeps its level and the sum may exceed 1; its mono is that of
    the stereo.

    Raises:
        MediaError: for other layouts, which have no agreed order.

    Example:
        >>> remix(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 1)
        tensor([[0.5000, 0.5000]])
    """
    return mixed(audio, channels)


@full_precision
def mixed(audio: Tensor, channels: int, reach: int | None = None) -> Tensor:
    """Return what `remix` does; whether channels cancel is judged by the first `reach` samples (all: None)."""
    have = audio.shape[-2]
    if channels == have:
        return audio
    if channels not in (1, 2) or have not in (1, 2, *_BS775):
        raise MediaError("audio", f"no rule to mix {have} channels to {channels}", "mix it to mono or stereo first")
    if have in _BS775:
        audio = audio.new_tensor(_BS775[have]) @ audio
    if channels == 1:
        mean = mono(audio)
        opposite = cancels(mono_powers(audio[..., :reach], mean[..., :reach]))[..., None, None]
        return torch.where(opposite, mono(audio, opposite=True), mean)
    return audio.repeat_interleave(2, dim=-2) if have == 1 else audio


def mono(stereo: Tensor, opposite: bool = False) -> Tensor:
    """Return the mean of two channels (…, 2, samples), or half of their difference, as (…, 1, samples)."""
    if opposite:
        return (stereo[..., :1, :] - stereo[..., 1:, :]) / 2
    return stereo.mean(dim=-2, keepdim=True)


def mono_powers(stereo: Tensor, mean: Tensor) -> Tensor:
    """Return sums of squares (…, 3): of the mean (…, 1, samples) of two channels, and of each (…, 2, samples)."""
    parts = [widened(part.detach()) for part in (mean, stereo)]
    return torch.cat([torch.linalg.vecdot(part, part) for part in parts], dim=-1)


def cancels(powers: Tensor) -> Tensor:
    """Return whether two channels of `mono_powers` (…, 3) cancel each other in their mean, (…,)."""
    return powers[..., 0] < _CANCELLED * (powers[..., 1] + powers[..., 2]) / 2


def joined_clips(
    audio: Tensor, rate: int, count: int = 8, seconds: float = 2.0, total: float = 30.0, reach_end: bool = False
) -> Tensor:
    """Join `count` clips of `seconds` that are spread over the audio; cut or pad with zeros to `total` seconds.

    The audio input of AGAV-Rater: `audio`, float (…, samples) at `rate` Hz, to (…, total·rate).
    Audio shorter than a clip is repeated `count` times; clips overlap or leave gaps. Clip i starts at
    i·(duration − seconds)/count, so the last one stops short of the end, as in pytorchvideo 0.1.5; with `reach_end` the
    divisor is count − 1, as on its main branch.

    >>> joined_clips(torch.arange(12.0), rate=1, count=3, total=8)
    tensor([0., 1., 3., 4., 6., 7., 0., 0.])
    """
    parts = [audio[..., start:end] for start, end in clip_bounds(audio.shape[-1], rate, count, seconds, reach_end)]
    joined, wanted = torch.cat(parts, dim=-1), round(total * rate)
    return F.pad(joined[..., :wanted], (0, max(0, wanted - joined.shape[-1])))


def clip_bounds(samples: int, rate: int, count: int, seconds: float, reach_end: bool = False) -> list[tuple[int, int]]:
    """Return the (start, end) samples of the clips of `joined_clips`.

    >>> clip_bounds(48000, 16000, 3, 2.0)
    [(0, 32000), (5333, 37333), (10666, 42666)]
    """
    # The original divides the duration, a float, as an exact fraction: 29.97 s fall just short, by one sample.
    length, clip = Fraction(samples / rate), Fraction(seconds)
    step = max(length - clip, Fraction(0)) / max(1, count - 1 if reach_end else count)
    return [(int(i * step * rate), min(int((i * step + clip) * rate), samples)) for i in range(count)]


def _half_width(old: int, new: int) -> int:
    return ceil(_ZEROS * old / (min(old, new) * _ROLLOFF))


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _resampler(old: int, new: int, dtype: torch.dtype, device: torch.device) -> ResampleFrac:
    return ResampleFrac(old, new, zeros=_ZEROS, rolloff=_ROLLOFF).to(device=device, dtype=dtype)


def _resample_directly(audio: Tensor, old: int, new: int, length: int) -> Tensor:
    """Evaluate the same filter at each output sample instead of tabulating it for `new` phases."""
    width = _half_width(old, new)
    cutoff = min(old, new) * _ROLLOFF
    taps = torch.arange(-width, width + 1, device=audio.device)
    pieces = []
    for start in range(0, length, max(1, _CHUNK // len(taps))):
        step = torch.arange(start, min(length, start + max(1, _CHUNK // len(taps))), device=audio.device)
        nearest = torch.div(step * old, new, rounding_mode="floor")
        ahead = (step * old - nearest * new).to(torch.float64) / new  # exact, so that long sound doesn't drift
        phase = ((taps - ahead[:, None]) * (cutoff / old)).clamp(-_ZEROS, _ZEROS) * pi
        weights = torch.sinc(phase / pi) * torch.cos(phase / (2 * _ZEROS)).square()
        weights = (weights / weights.sum(dim=1, keepdim=True)).to(audio.dtype)
        source = (nearest[:, None] + taps).clamp(0, audio.shape[-1] - 1)
        pieces.append(torch.einsum("...nk,nk->...n", audio[..., source], weights))
    return torch.cat(pieces, dim=-1)
