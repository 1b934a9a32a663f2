"""Change sample rate, channel count and length of audio, differentiably."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import gcd

import torch
from julius.resample import ResampleFrac
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, MediaError
from avreward.media._audio.windowed_sinc import (
    RESAMPLERS,
    Resampler,
    by_kernel,
    directly,
    fits_a_kernel,
    windowed_sinc,
)
from avreward.media._precision import full_precision, precise, product, widened

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
def resample(audio: Tensor, old_rate: int, new_rate: int, resampler: Resampler = "julius") -> Tensor:
    """Change the sample rate by windowed-sinc interpolation, differentiably.

    | `resampler` | filter | beyond the ends | length |
    |---|---|---|---|
    | `"julius"` | julius' default: 24 zero crossings, cut-off at 0.945 of the Nyquist rate | held | rounded down |
    | `"ffmpeg"` | libswresample's default: 32 taps, cut-off 0.97, Kaiser window, β = 9 | mirrored | rounded up |
    | `"librosa"` | soxr HQ: pass-band to 0.91, stop-band from 1 on | zeros | rounded up |

    A rater that was trained on audio of one of them wants the same again, since they differ by several dB just below
    the Nyquist rate. `"ffmpeg"` equals `av.AudioResampler` to 1e-5 of full scale, edges included; `"librosa"` equals
    soxr to 5e-4 on white noise of RMS 0.1, but for the first samples.

    Args:
        audio: float (…, samples) at `old_rate` Hz. Half precision is computed in float32.
        old_rate: in Hz.
        new_rate: in Hz.
        resampler: whose filter.

    Returns:
        float (…, samples·new_rate/old_rate) of the same dtype, the first sample at the same time as before.

    Raises:
        ArgumentError: if a rate is not a positive integer, or `resampler` is unknown.

    Example:
        >>> resample(torch.ones(2, 44101), 44100, 16000).shape
        torch.Size([2, 16000])
    """
    for name, rate in (("old_rate", old_rate), ("new_rate", new_rate)):
        if not 0 < rate < 2**31 or rate != int(rate):
            raise ArgumentError(name, "a positive integer, a sample rate in Hz", rate)
    check_resampler(resampler)
    common = gcd(int(old_rate), int(new_rate))
    old, new = int(old_rate) // common, int(new_rate) // common
    if old == new:
        return audio
    design = windowed_sinc(resampler, old, new)
    length = -(-audio.shape[-1] * new // old) if design.rounds_up else audio.shape[-1] * new // old
    if length == 0:
        return audio[..., :0]
    wide = precise(widened(audio))
    if not fits_a_kernel(design, old, new):
        out = directly(wide, resampler, old, new, length)
    elif resampler == "julius":
        out = _julius(old, new, wide.dtype, wide.device)(wide, output_length=length)
    else:
        out = by_kernel(wide, resampler, old, new, length)
    return out.to(audio.dtype)


def check_resampler(resampler: str) -> None:
    """Raise `ArgumentError` for a resampler that `resample` does not know."""
    if resampler not in RESAMPLERS:
        raise ArgumentError("resampler", f"one of {', '.join(map(repr, RESAMPLERS))}", resampler)


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
        audio = product(audio.new_tensor(_BS775[have]), audio)
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


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _julius(old: int, new: int, dtype: torch.dtype, device: torch.device) -> ResampleFrac:
    return ResampleFrac(old, new).to(device=device, dtype=dtype)
