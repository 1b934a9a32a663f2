"""Measurements of the audio spectrum: signal-to-noise ratio, bandwidth, flatness, hum."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.raters.signals._audio import POWER_FLOOR, AudioWindow
from avreward.raters.signals._gates import Gate, decibel, low_level, sounding


def signal_to_noise(sound: AudioWindow, gate: Gate) -> Tensor:
    """Mean over third-octave bands of the ratio, in dB, of the band's mean power to its noise floor.

    The floor is a band's low level over the sounding frames, in the manner of minimum statistics (Martin 2001).
    """
    power, _ = sound.bands()
    power = power + POWER_FLOOR
    weight = sounding(decibel(power.sum(0)), gate, around=3)
    mean = (power * weight).sum(-1) / weight.sum()
    power, mean = power + 1e-7 * mean.sum(), mean + 1e-7 * mean.sum()  # what lies 70 dB under the sound is not heard
    return (decibel(mean) - low_level(decibel(power), weight, gate)).mean()


def bandwidth(sound: AudioWindow, gate: Gate) -> Tensor:
    """Bandwidth in kHz: frequencies at which the long-term spectrum is within 60 dB of its peak."""
    power, centres = sound.bands(per_octave=6)
    level = decibel(power.mean(-1) / centres, 1e-16)
    top = torch.logsumexp(level, -1)
    inside = gate((level - (top - 60)) / 3)
    return (inside * centres).sum() / centres.sum() * sound.frequencies[-1].clamp(max=20_000) / 1000


def flatness(sound: AudioWindow, gate: Gate) -> Tensor:
    """Spectral flatness (Wiener entropy) of the quiet moments in dB: 0 for white noise, far below for tones and pauses.

    The geometric over the arithmetic mean of the noise floor's density in third octaves above 500 Hz; a density 25 dB
    under the mean is as low as it counts, or a band limit would pass for a lack of noise.
    """
    power, centres = sound.bands()
    upper = (centres > 500).to(power)
    power = power + POWER_FLOOR
    weight = sounding(decibel(power.sum(0)), gate, around=3)
    floor = 10 ** (low_level(decibel(power), weight, gate) / 10) / centres
    floor = floor + 3e-3 * (floor * upper).sum() / upper.sum()
    geometric = (decibel(floor, 1e-18) * upper).sum() / upper.sum()
    return geometric - decibel((floor * upper).sum() / upper.sum(), 1e-18)


def hum(sound: AudioWindow, gate: Gate) -> Tensor:
    """How far steady lines at the multiples of 50 or 60 Hz (to 480 Hz) stand above their surroundings, in dB."""
    size = round(0.5 * sound.rate)
    power = sound.power_spectrum(size, round(0.125 * sound.rate)) / size
    level = decibel(power[:, : round(600 * size / sound.rate)].T, 1e-12)  # (bins, frames), 2 Hz apart
    steady = 10 ** (low_level(level, sounding(decibel(power.sum(1)), gate), gate) / 10)
    each = []
    for mains in (50, 60):
        lines = [round(mains * k * size / sound.rate) for k in range(1, 9)]
        inside = torch.stack([steady[n - 1 : n + 2].sum() for n in lines])
        beside = torch.stack([steady[n - 9 : n - 4].mean() + steady[n + 5 : n + 10].mean() for n in lines])
        each.append(decibel(inside / (1.5 * beside), 1e-3).mean())
    return torch.logsumexp(torch.stack(each), 0)
