"""Measurements of the waveform's level over time: loudness, clipping, silence, drop-outs, attack against decay."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import softplus

from avreward.raters.signals._audio import AudioWindow
from avreward.raters.signals._gates import Gate, decibel, hard, low_level, rounded, sounding


def loudness(sound: AudioWindow, gate: Gate) -> Tensor:
    """Integrated loudness in LUFS (ITU-R BS.1770-4): K-weighting, 400 ms blocks, absolute and relative gate."""
    x = _k_weighted(sound.wave, sound.rate)
    size, hop = round(0.4 * sound.rate), round(0.1 * sound.rate)
    x = torch.nn.functional.pad(x, (0, max(0, size - x.shape[-1])))
    blocks = x.square().unfold(-1, size, hop).mean(-1).sum(0)  # (blocks,); front channels weigh 1
    level = decibel(blocks) - 0.691
    above = gate(level + 70)
    first = (above * blocks).sum() / (above.sum() + 1e-6)
    above = above * gate(level - (decibel(first) - 0.691 - 10))
    return decibel((above * blocks).sum() / (above.sum() + 1e-6)) - 0.691


_RINGING = 0.1  # s; the high-pass at 38 Hz decays by 200 dB in it, and from `_IN_PIECES` on the shelf, too
_IN_PIECES = 4000  # Hz


def _k_weighted(wave: Tensor, rate: int) -> Tensor:
    """BS.1770's two filters of wave (channels, samples), applied as a frequency response, piece by piece.

    Near the Nyquist frequency the shelf rings on: slow sound is one piece, with a second of silence before it.
    """
    samples = wave.shape[-1]
    ringing = round(_RINGING * rate) if rate >= _IN_PIECES else rate
    size = 4 * ringing if rate >= _IN_PIECES else samples + rate  # small enough for the cache
    response = _k_response(size, rate).to(torch.complex128 if wave.dtype == torch.float64 else torch.complex64)
    new = size - ringing
    pieces = torch.nn.functional.pad(wave, (ringing, -samples % new)).unfold(-1, size, new)
    filtered = torch.fft.irfft(torch.fft.rfft(pieces) * response.to(wave.device), size)
    return filtered[..., ringing:].flatten(-2)[..., :samples]


@lru_cache(maxsize=8)  # the clips of one job have few sample rates
@torch.inference_mode(False)  # or a gradient could not pass it afterwards
def _k_response(size: int, rate: int) -> Tensor:
    """Return the filters' response at the frequencies of an FFT of `size`."""
    z = torch.exp(-2j * math.pi / size * torch.arange(size // 2 + 1, dtype=torch.float64))
    response = torch.ones_like(z)
    for b, a in _k_filters(rate):
        response = response * (b[0] + b[1] * z + b[2] * z * z) / (a[0] + a[1] * z + a[2] * z * z)
    return response


def _k_filters(rate: int) -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Return the biquads (b, a) at any rate by bilinear transform: high shelf (+4 dB from 1682 Hz), 38 Hz high-pass.

    BS.1770 tabulates them at 48 kHz; these analogue parameters reproduce that table to 1e-9.
    """
    k = math.tan(math.pi * 1681.974450955533 / rate)
    q, gain = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = gain**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = (
        ((gain + middle * k / q + k * k) / a0, 2 * (k * k - gain) / a0, (gain - middle * k / q + k * k) / a0),
        (1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0),
    )
    k = math.tan(math.pi * 38.13547087602444 / rate)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    high_pass = (1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0)
    return [shelf, high_pass]


SMEARED = 1.0  # % that the smeared part of a flat top adds at most


def clipping(sound: AudioWindow, gate: Gate) -> Tensor:
    """Share of samples, in percent, within 2 % of the channel's own peak: a flat top, also after a change of gain.

    A codec smears a flat top. So the form of the scores adds what lies above 80 % of the level that 0.3 % of the
    samples reach, beyond 1.6 %: natural sounds have 0.5 to 1.9 % there (Gaussian noise 1.8 %), and those of which 15 %
    was clipped before a codec 2.5 to 20 %. It adds `SMEARED` % at most, since a pure tone has 41 % there.
    """
    scale = sound.wave.square().mean(-1, keepdim=True).add(POWER).sqrt()
    level = rounded(sound.wave / scale, 1e-3)  # in units of the RMS
    if gate is hard:
        return 100 * gate((level / level.amax(-1, keepdim=True) - 0.98) / 0.005).mean()
    peak = _soft_peak(level)
    flat = gate((level / peak).sub_(0.98).div_(0.005)).mean()
    above = 100 * gate((level / (_reached(level, 0.003) + 0.01)).sub_(0.8).div_(0.02)).mean()
    smeared = SMEARED * -torch.expm1(-softplus((above - 1.6) / 0.15) * 0.15 / SMEARED)
    return 100 * flat + (1 - flat) * smeared


def _soft_peak(level: Tensor, sharpness: float = 4000.0) -> Tensor:
    """Return the soft maximum (channels, 1): exact to 0.3 % of the RMS even if ten thousand samples share the peak."""
    least = level.detach().amax(-1, keepdim=True) - 100 / sharpness  # what is lower adds less than exp(−100)
    each = zip(level, level >= least, strict=True)
    return torch.stack([torch.logsumexp(sharpness * row[near], 0, keepdim=True) / sharpness for row, near in each])


def _reached(level: Tensor, share: float) -> Tensor:
    """Return the level that about this share of the samples reaches, (…, samples) → (…, 1), over many samples."""
    most, least = max(2, int(level.shape[-1] * share * 1.5)), max(1, int(level.shape[-1] * share * 0.67))
    return level.topk(most, -1).values[..., least:].mean(-1, keepdim=True)


POWER = 1e-9  # mean square below which audio counts as silent (−90 dBFS)


def silence(sound: AudioWindow, gate: Gate) -> Tensor:
    """Share of the time, in percent, in which 20 ms frames stay under −60 dBFS."""
    return 100 * gate((-60 - decibel(sound.power_every(0.02))) / 3).mean()


def dropouts(sound: AudioWindow, gate: Gate) -> Tensor:
    """Share of the time, in percent, in gaps: 5 ms frames 30 dB below what surrounds them within 100 ms on both sides.

    Both sides must be loud, so a decaying sound does not count as a gap, nor does a pause longer than the reach.
    """
    power = sound.power_every(0.005) + 1e-10
    reach = 20
    around = torch.nn.functional.pad(power.square(), (reach, reach), value=1e-20)
    means = around.unfold(0, reach, 1).mean(-1).sqrt()  # of each run of `reach` frames
    left, right = means[: power.shape[0]], means[reach + 1 : reach + 1 + power.shape[0]]
    both = 2 / (1 / left + 1 / right)
    return 100 * gate((decibel(both / power, 1e-12) - 30) / 2).mean()


def attack_decay_asymmetry(sound: AudioWindow, gate: Gate) -> Tensor:
    """Skewness of the steps of level, 4 ms apart, in four octaves: sounds rise fast and die slowly: > 0; reversed < 0.

    Time reversal flips the sign. Audio without attacks (wind, an engine) has values near 0 in both directions. The
    level is a logarithm over a floor 30 dB under the band's mean; the octaves are those below 8 kHz, which every sample
    rate in use reaches (at a lower one, those below the Nyquist frequency), so treble that is missing changes nothing.
    The first and last 60 ms do not count, nor do dead frames there: a recording's ends are neither attack nor decay.
    """
    size, hop = max(8, round(0.016 * sound.rate)), max(1, round(0.004 * sound.rate))
    top = min(size // 2, round(8000 * size / sound.rate)) + 1
    power, total = sound.lowest_bins(size, hop, top)  # (frames, bins) and (frames,)
    if power.shape[0] < 2:
        return power.sum() * 0
    edges = [top >> k for k in (4, 3, 2, 1, 0)]
    octaves = torch.stack([power[:, low:high].sum(1) for low, high in pairwise(edges)])
    weight = _inside(sounding(decibel(total * 2 / size), gate, 40.0))
    relative = octaves / ((weight * octaves).sum(-1, keepdim=True) / weight.sum() + POWER * size)
    step = torch.log(relative + 1e-3).diff(dim=-1)
    weight = torch.minimum(weight[1:], weight[:-1])
    weight = weight / (len(octaves) * weight.sum())
    return (weight * step.pow(3)).sum() / ((weight * step.square()).sum() + 1e-4).pow(1.5)


def _inside(weight: Tensor, margin: int = 15) -> Tensor:
    """Return how far each frame is `margin` frames after the first sounding one and before the last, 0 … 1."""
    ends = [torch.nn.functional.pad(w, (margin, 0))[: len(w)].cummax(0).values for w in (weight, weight.flip(0))]
    return torch.minimum(ends[0], ends[1].flip(0)) + 1e-6  # in a very short sound all frames count alike


def noise_floor(sound: AudioWindow, gate: Gate) -> Tensor:
    """Level of the quietest sounding frames (20 ms) in dBFS, after minimum statistics (Martin 2001)."""
    level = decibel(sound.power_every(0.02))
    return low_level(level, sounding(level, gate), gate)
