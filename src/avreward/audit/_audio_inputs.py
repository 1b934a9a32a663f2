"""Degenerate audio: functions of the real audio (channels, samples), its rate in Hz and a generator, in [−1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from avreward.audit._video_inputs import drawn

MakeSound = Callable[[Tensor, int, torch.Generator], Tensor]


def silence(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return silence."""
    return torch.zeros_like(audio)


def white_noise(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return Gaussian noise at −20 dBFS."""
    return (0.1 * torch.randn(audio.shape, generator=generator)).clamp(-1, 1).to(audio)


def loud(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return the real audio 40 dB louder, clipped at full scale."""
    return (100 * audio).clamp(-1, 1)


def loud_noise(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return uniform noise in [−1, 1]."""
    return (2 * torch.rand(audio.shape, generator=generator) - 1).to(audio)


def shrill(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return a sine at 0.9 of the Nyquist frequency, at −9 dBFS."""
    time = torch.arange(audio.shape[-1], dtype=torch.float64)
    start = 2 * math.pi * float(torch.rand((), generator=generator))
    return (0.5 * torch.sin(0.9 * math.pi * time + start)).to(audio).expand_as(audio).contiguous()


def noise_between_silences(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return the real audio with white noise 20 dB under it, and 40 ms of silence in place of either end."""
    noise = torch.randn(audio.shape, generator=generator).to(audio)
    noisy = audio + 0.1 * audio.square().mean().sqrt() * noise
    silent = min(round(0.04 * rate), audio.shape[-1] // 2)
    noisy[:, :silent] = 0
    noisy[:, noisy.shape[-1] - silent :] = 0
    return noisy.clamp(-1, 1)


_PURE: tuple[MakeSound, ...] = (silence, white_noise, loud, loud_noise, shrill)


def mixture(audio: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Return the sum of two or three of the others, drawn at random, with random weights."""
    weights, chosen = drawn(len(_PURE), generator)
    mixed = torch.zeros_like(audio)
    for weight, index in zip(weights, chosen, strict=True):
        mixed += weight * _PURE[index](audio, rate, generator)
    return mixed.clamp_(-1, 1)
