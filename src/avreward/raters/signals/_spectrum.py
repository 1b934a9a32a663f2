"""Measurements of the audio spectrum: signal-to-noise ratio, bandwidth, flatness, hum."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from avreward.raters.signals._audio import POWER_FLOOR, AudioWindow
from avreward.raters.signals._gates import Gate, decibel, hard, low_level, sounding


def signal_to_noise(sound: AudioWindow, gate: Gate) -> Tensor:
    """Mean over third-octave bands of the ratio, in dB, of the band's mean power to its noise floor.

    The floor is a band's low level over the sounding frames, in the manner of minimum statistics (Martin 2001).
    """
    power, _ = sound.bands()
    power = power + POWER_FLOOR
    weight = sounding(decibel(power.sum(0)), gate, around=3)
    mean = (power * weight).sum(-1) / weight.sum()
    power, mean = power + 1e-7 * mean.sum(), mean + 1e-7 * mean.sum()  # what lies 70 dB under the sound is not heard
    return (decibel(mean) - low_level(decibel(power), weight, gate, sound.quietest)).mean()


def bandwidth(sound: AudioWindow, gate: Gate) -> Tensor:
    """Bandwidth in kHz of what stands out: within 50 dB of the long-term spectrum's peak, and 7 dB above the hiss.

    So noise that is added to a sound narrows it, and a recording's own hiss doesn't pass for treble: the mean of white
    noise lies 3 to 4 dB above its low level. Padding and dead frames don't count, nor a click where a sound breaks off.
    """
    sound = sound.trimmed
    level, widths = _density(sound, gate, 6)
    near = gate((level - (torch.logsumexp(level, -1) - 50)) / 3)
    above = gate((level - hiss(sound, gate) - 7) / 2)
    return (near * above * widths).sum() / 1000


def _density(sound: AudioWindow, gate: Gate, per_octave: int) -> tuple[Tensor, Tensor]:
    """Return each band's mean density over the sounding frames in dB a Hz (bands,), and its width in Hz."""
    power, _ = sound.bands(per_octave)
    widths, weight = sound.widths(per_octave), _sounding(sound, gate)
    return decibel((power * weight).sum(-1) / weight.sum() / widths, 1e-16), widths


def _sounding(sound: AudioWindow, gate: Gate) -> Tensor:
    """How far each frame of the spectrogram counts as sounding, 0 … 1 (frames,)."""
    power, _ = sound.bands()
    return sounding(decibel(power.sum(0) + POWER_FLOOR / 1000 * sound.widths().sum()), gate, around=3)


def hiss(sound: AudioWindow, gate: Gate) -> Tensor:
    """Density, in dB a Hz, of the strongest white noise that fits under the noise floor from 0.7 to 7.5 kHz.

    The floor is each band's low level over the sounding frames. Room tone, wind and traffic fall towards high
    frequencies and pauses are dead, so that little white noise fits under them; added noise is flat and always there.
    Bands 50 dB under the peak don't count: a low-pass removes the noise in them and not that in the others.
    """
    power, centres = sound.bands()
    level, widths = _density(sound, gate, 3)
    inside = (centres > 700) & (centres < 7500)
    density = decibel(power[inside] / widths[inside, None] + POWER_FLOOR / 1000, 0.0)
    floor = low_level(density, _sounding(sound, gate), gate, sound.quietest[inside])
    beyond = (torch.logsumexp(level, -1) - 50 - level) / 3
    beyond = torch.maximum(beyond, torch.cat([beyond[1:], beyond[-1:]]))[inside]  # a cut through a band lowers it
    if gate is hard:
        return torch.where(beyond < 0, floor, floor.amax()).amin()
    return -2 * (torch.logsumexp(-floor / 2 - softplus(beyond), 0) - math.log(floor.shape[0]))


def flatness(sound: AudioWindow, gate: Gate) -> Tensor:
    """Spectral flatness (Wiener entropy) of the quiet moments in dB: 0 for white noise, far below for tones and pauses.

    The geometric over the arithmetic mean of the noise floor's density in third octaves from 0.5 to 8 kHz, which every
    sample rate in use reaches; a density 25 dB under the mean is as low as it counts, or a band limit would pass for a
    lack of noise.
    """
    power, centres = sound.bands()
    upper = ((centres > 500) & (centres < 8000)).to(power)
    power = power + POWER_FLOOR
    weight = sounding(decibel(power.sum(0)), gate, around=3)
    floor = 10 ** (low_level(decibel(power), weight, gate, sound.quietest) / 10) / centres
    floor = floor + 3e-3 * (floor * upper).sum() / upper.sum()
    geometric = (decibel(floor, 1e-18) * upper).sum() / upper.sum()
    return geometric - decibel((floor * upper).sum() / upper.sum(), 1e-18)


def hum(sound: AudioWindow, gate: Gate) -> Tensor:
    """How far steady lines at the multiples of 50 or 60 Hz (to 480 Hz) stand above their surroundings, in dB."""
    size = round(0.5 * sound.rate)
    power, total = sound.lowest_bins(size, round(0.125 * sound.rate), round(600 * size / sound.rate))
    level = decibel(power.T / size, 1e-12)  # (bins, frames), 2 Hz apart
    steady = 10 ** (low_level(level, sounding(decibel(total / size), gate), gate) / 10)
    lines = torch.tensor([[round(mains * k * size / sound.rate) for k in range(1, 9)] for mains in (50, 60)])
    around = steady[(lines[..., None] + torch.arange(-9, 10)).to(steady.device)]  # (mains, lines, bins)
    inside, beside = around[..., 8:11].sum(-1), around[..., :5].mean(-1) + around[..., 14:].mean(-1)
    return torch.logsumexp(decibel(inside / (1.5 * beside), 1e-3).mean(-1), 0)
