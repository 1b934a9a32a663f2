"""Mel-frequency cepstral coefficients as python_speech_features computes them by default, differentiable."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, pi

import torch
from torch import Tensor

RATE = 16000
WINDOW, STEP = 400, 160
COEFFICIENTS = 13
_POINTS, _FILTERS, _LIFTER, _EMPHASIS = 512, 26, 22, 0.97
_LEAST = torch.finfo(torch.float64).eps  # what takes the place of an energy of zero


def mfcc(wave: Tensor) -> Tensor:
    """Return the coefficients, float64 (13, frames), of audio, float (samples,) in the units of 16-bit samples.

    A frame of 25 ms every 10 ms at 16 kHz, rectangular, zeros after the end. Pre-emphasis of 0.97, 26 triangular bands
    to 8 kHz, logarithm, orthonormal DCT-II, lifter of 22; the first coefficient is the logarithm of the frame's energy.

    >>> mfcc(torch.zeros(2400)).shape
    torch.Size([13, 14])
    """
    wave = wave.double()
    wave = torch.cat([wave[:1], wave[1:] - _EMPHASIS * wave[:-1]])
    count = 1 + max(0, ceil((len(wave) - WINDOW) / STEP))
    padded = torch.nn.functional.pad(wave, (0, (count - 1) * STEP + WINDOW - len(wave)))
    spectrum = torch.fft.rfft(padded.unfold(0, WINDOW, STEP), _POINTS)
    power = (spectrum.real**2 + spectrum.imag**2) / _POINTS  # (frames, 257)
    bands, cosines = (table.to(wave.device) for table in (_bands(), _cosines()))
    cepstrum = _log(power @ bands.T) @ cosines.T
    return torch.cat([_log(power.sum(1, keepdim=True)), cepstrum[:, 1:]], 1).T


def _log(energy: Tensor) -> Tensor:
    return torch.where(energy == 0, _LEAST, energy).log()


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # what is kept must serve later calls with gradients
def _bands() -> Tensor:
    """Return float64 (26, 257): triangles between edges that are even in mel, at whole bins, with a peak of 1."""
    top = 2595 * torch.log10(torch.tensor(1 + RATE / 2 / 700, dtype=torch.float64))
    hertz = 700 * (10 ** (torch.linspace(0, float(top), _FILTERS + 2, dtype=torch.float64) / 2595) - 1)
    edges = ((_POINTS + 1) * hertz / RATE).floor()[:, None]
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    bins = torch.arange(_POINTS // 2 + 1, dtype=torch.float64)
    rising, falling = (bins - left) / (peak - left), (right - bins) / (right - peak)
    up, down = (bins >= left) & (bins < peak), (bins >= peak) & (bins < right)
    return torch.where(up, rising, torch.where(down, falling, 0.0))


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _cosines() -> Tensor:
    """Return float64 (13, 26): the first rows of the orthonormal DCT-II, each times the lifter."""
    row = torch.arange(COEFFICIENTS, dtype=torch.float64)[:, None]
    column = torch.arange(_FILTERS, dtype=torch.float64)
    cosines = torch.cos(pi * row * (2 * column + 1) / (2 * _FILTERS)) * (2 / _FILTERS) ** 0.5
    cosines[0] /= 2**0.5
    return cosines * (1 + _LIFTER / 2 * torch.sin(pi * row / _LIFTER))
