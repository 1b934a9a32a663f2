"""From a clip to what the measurements look at: which frames, at what size, which stretches of sound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.media.sampling import FramePlan, Spread, Windows, interval
from avreward.media.sound import resample
from avreward.raters.signals.picture import Frames, Motion, to_luma
from avreward.raters.signals.sound import Sound

WINDOWS = Windows(seconds=5.0, most=6)  # a clip of up to 30 s is watched whole, a longer one in six windows
FEW = Spread(6)
PLANS = (FramePlan(WINDOWS, max_side=160), FramePlan(FEW, max_side=160), FramePlan(FEW, crop=1024))
HIGHEST_RATE = 48_000  # Hz; faster sound is resampled, slower is left as it is
SHORTEST_SOUND = 0.1  # s


@dataclass(frozen=True)
class Picture:
    """A clip's picture: single frames, and stretches of consecutive ones."""

    frames: Frames
    stretches: tuple[Motion, ...]


def load_picture(clip: Clip) -> Picture:
    """Decodes the picture once, in three views (`PLANS`)."""
    small, colour, detail = (_precise(view) for view in clip.views(PLANS))
    index = WINDOWS(clip.times)
    luma, times = to_luma(small), clip.times[index].to(small.device)
    cuts = [0, *((index.diff() > 1).nonzero()[:, 0] + 1).tolist(), len(index)]
    stretches = tuple(Motion(luma[a:b], times[a:b]) for a, b in zip(cuts, cuts[1:], strict=False))
    return Picture(Frames(to_luma(detail), colour), stretches)


def load_sound(clip: Clip) -> tuple[Sound, ...]:
    """Decodes the sound, at most two channels, at its own rate up to 48 kHz, in stretches."""
    assert clip.sample_rate is not None
    rate = min(clip.sample_rate, HIGHEST_RATE)
    channels = min(clip.channels or 1, 2)
    wave = _precise(clip.sound(rate, channels))
    return tuple(
        Sound(wave[:, round(start * rate) : None if stop is None else round(stop * rate)], rate, start)
        for start, stop in spans(clip.seconds)
    )


def spans(seconds: float) -> list[tuple[float, float | None]]:
    """The stretches of sound (start, stop) in s: all of it up to 30 s, else six windows spread evenly."""
    if seconds <= WINDOWS.seconds * WINDOWS.most + 0.5:
        return [(0.0, None)]
    step = (seconds - WINDOWS.seconds) / (WINDOWS.most - 1)
    return [(step * k, step * k + WINDOWS.seconds) for k in range(WINDOWS.most)]


def _precise(x: Tensor) -> Tensor:
    """At least float32: sums over a second of sound need it."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
