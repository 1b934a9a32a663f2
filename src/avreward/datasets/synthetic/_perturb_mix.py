"""Defects of audio that take sound from another clip: an event, or the background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avreward.clip import Clip
from avreward.datasets.synthetic._perturb_audio import sounding, swap

FADE = 0.05  # s on each side over which one sound gives way to the other


def event(clip: Clip, share: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Replace a stretch that takes `share` (0..1) of the audio by sound of the other clip, as loud, with soft edges.

    The stretch begins where something sounds.
    """
    assert other is not None  # checked by `Perturbation.apply`
    audio, rate = clip.sound(), clip.sample_rate
    samples = audio.shape[-1]
    length = max(1, min(samples, round(share * samples)))
    places = sounding(audio, rate).nonzero()[:, 0]
    places = places[places <= samples - length]
    start = int(places[torch.randint(len(places), (), generator=generator)]) if len(places) else 0
    mask = torch.zeros(samples)
    mask[start : start + length] = 1
    return clip.with_audio(torch.lerp(audio, _taken(audio, rate, other), _soft(mask, rate).to(audio)), rate)


def background(clip: Clip, level: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Replace the background by sound of the other clip, `level` dB below the audio.

    What stands out of the audio (20 ms blocks within 30 dB of the loudest) stays, and everything between is turned down
    to silence under the new background.
    """
    assert other is not None  # checked by `Perturbation.apply`
    audio, rate = clip.sound(), clip.sample_rate
    kept = _soft(sounding(audio, rate).float(), rate).to(audio)
    mixed = audio * kept + _taken(audio, rate, other) * 10 ** (-level / 20)
    return clip.with_audio(mixed / mixed.abs().max().clamp_min(1.0), rate)


def _taken(audio: Tensor, rate: int, other: Clip) -> Tensor:
    return swap(audio, rate, other.sound(), other.sample_rate)


def _soft(mask: Tensor, rate: int) -> Tensor:
    """Return the mask (samples,) averaged over the time of a fade."""
    half = max(1, round(FADE * rate / 2))
    return functional.avg_pool1d(mask[None, None], 2 * half + 1, 1, half, count_include_pad=False)[0, 0]
