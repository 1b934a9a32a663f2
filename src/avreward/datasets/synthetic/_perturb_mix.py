"""Defects of audio that take sound from another clip: an event, or the background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avreward.clip import Clip
from avreward.datasets.synthetic._perturb_audio import sounding, swap
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.media.resampling import remix

FADE = 0.05  # s on each side over which one sound gives way to the other
LEAST_HEARD = 0.1  # share of the audible cells of time and pitch that a new background has to change
STEP_DB = 3.0  # a smaller change of a cell is ignored
AUDIBLE_DB = 50.0  # below the loudest cell, a cell is ignored
_BANDS, _LOWEST = 24, 60.0  # from here to half the rate, evenly by ratio
_FRAME = 0.04  # s


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

    Raises:
        NotPerturbable: if what stays covers the new background, as dense drums do.
    """
    assert other is not None  # checked by `Perturbation.apply`
    audio, rate = clip.sound(), clip.sample_rate
    kept = _soft(sounding(audio, rate).float(), rate).to(audio)
    mixed = audio * kept + _taken(audio, rate, other) * 10 ** (-level / 20)
    if heard_change(audio, mixed, rate) < LEAST_HEARD:
        problem = f"{clip.name}: its louder sounds cover the new background"
        raise NotPerturbable(f"{problem}; give clips with pauses, or a stronger severity")
    return clip.with_audio(mixed / mixed.abs().max().clamp_min(1.0), rate)


def heard_change(before: Tensor, after: Tensor, rate: int) -> float:
    """Return the share of audible cells of time and pitch, 40 ms by a 24th of the range, that changed by 3 dB or more.

    A cell is audible if it is within 50 dB of the loudest one before or after.
    """
    old, new = (_cells(audio, rate) for audio in (before, after))
    floor = torch.maximum(old, new).max() * 10 ** (-AUDIBLE_DB / 10)
    if not floor > 0:
        return 0.0
    audible = (old > floor) | (new > floor)
    moved = (10 * torch.log10(new.clamp_min(floor) / old.clamp_min(floor))).abs() >= STEP_DB
    return float((moved & audible).sum() / audible.sum())


def _cells(audio: Tensor, rate: int) -> Tensor:
    """Return the power of mono audio in cells (bands, frames)."""
    size = max(2, round(_FRAME * rate))
    mono = remix(audio.detach(), 1)[0].double()
    mono = functional.pad(mono, (0, max(0, size - len(mono))))
    window = torch.hann_window(size, dtype=torch.float64)
    power = (torch.fft.rfft(mono.unfold(0, size, size // 2) * window)).abs().square().T  # (bins, frames)
    hertz = torch.fft.rfftfreq(size, 1 / rate, dtype=torch.float64)
    edges = torch.logspace(0, 1, _BANDS + 1, base=rate / 2 / _LOWEST, dtype=torch.float64) * _LOWEST
    band = torch.searchsorted(edges[1:-1].contiguous(), hertz, right=True)
    return torch.zeros(_BANDS, power.shape[1], dtype=torch.float64).index_add_(0, band, power)


def _taken(audio: Tensor, rate: int, other: Clip) -> Tensor:
    return swap(audio, rate, other.sound(), other.sample_rate)


def _soft(mask: Tensor, rate: int) -> Tensor:
    """Return the mask (samples,) averaged over the time of a fade."""
    half = max(1, round(FADE * rate / 2))
    return functional.avg_pool1d(mask[None, None], 2 * half + 1, 1, half, count_include_pad=False)[0, 0]
