"""Measurements of the audio spectrum: signal-to-noise ratio, bandwidth, flatness, hum."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.raters.signals._audio import POWER_FLOOR, AudioWindow
from avreward.raters.signals._gates import Gate, decibel, low_mean


def signal_to_noise(sound: AudioWindow, gate: Gate) -> Tensor:
    """Mean over third-octave bands of the ratio, in dB, of the band's mean power to its noise floor.

    The floor is a band's low power mean over time, in the manner of minimum statistics (Martin 2001).
    """
    power, _ = sound.bands()
    power = power + POWER_FLOOR
    return decibel(power.mean(-1) / low_mean(power, -1, gate), 1e-6).mean()


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
    floor = low_mean(power + POWER_FLOOR, -1, gate) / centres
    floor = floor + 3e-3 * (floor * upper).sum() / upper.sum()
    geometric = (decibel(floor, 1e-18) * upper).sum() / upper.sum()
    return geometric - decibel((floor * upper).sum() / upper.sum(), 1e-18)


def hum(sound: AudioWindow, gate: Gate) -> Tensor:
    """How far steady lines at the multiples of 50 or 60 Hz (to 480 Hz) stand above their surroundings, in dB."""
    size, hop = round(0.5 * sound.rate), round(0.125 * sound.rate)
    x = torch.nn.functional.pad(sound.mono, (0, max(0, size - sound.mono.shape[0])))
    window = torch.hann_window(size, dtype=x.dtype, device=x.device)
    power = torch.fft.rfft(x.unfold(0, size, hop) * window, dim=-1).abs().square() / window.square().sum() / size
    steady = low_mean(power + 1e-12, 0, gate)  # (bins,), 2 Hz apart
    each = []
    for mains in (50, 60):
        lines = [round(mains * k * size / sound.rate) for k in range(1, 9)]
        inside = torch.stack([steady[n - 1 : n + 2].sum() for n in lines])
        beside = torch.stack([steady[n - 9 : n - 4].mean() + steady[n + 5 : n + 10].mean() for n in lines])
        each.append(decibel(inside / (1.5 * beside), 1e-3).mean())
    return torch.logsumexp(torch.stack(each), 0)
