"""From a clip to what the measurements look at: which frames, at what size, which stretches of sound."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.media.sampling import FramePlan, Spread, Windows
from avreward.raters.base import Sample
from avreward.raters.signals.measurement import Measurement
from avreward.raters.signals.picture import Frames, Motion, to_luma
from avreward.raters.signals.smooth import Gate
from avreward.raters.signals.sound import Sound
from avreward.raters.signals.together import SHORTEST, Together

WINDOWS = Windows(seconds=5.0, most=6)  # a clip of up to 30 s is watched whole, a longer one in six windows
FEW = Spread(6)
PLANS = (FramePlan(WINDOWS, max_side=160), FramePlan(FEW, max_side=160), FramePlan(FEW, crop=1024))
HIGHEST_RATE = 48_000  # Hz; faster sound is resampled, slower is left as it is
SHORTEST_SOUND = 0.1  # s
FEWEST = 3  # frames in which motion can be judged


@dataclass(frozen=True)
class Picture:
    """A clip's picture: single frames, and stretches of consecutive ones."""

    frames: Frames
    stretches: tuple[Motion, ...]


@dataclass(frozen=True)
class Stretches:
    """What there is to measure of one kind, and why there is nothing where there is nothing."""

    views: tuple[Any, ...]
    why: str = ""

    def mean(self, measurement: Measurement, gate: Gate) -> Tensor:
        """The mean of a measurement over the stretches."""
        return torch.stack([measurement.measure(view, gate) for view in self.views]).mean()


def views_of(sample: Sample) -> dict[frozenset[str], dict[str, Stretches]]:
    """For each set of tracks that measurements need: kind of view → stretches."""
    picture: Picture | None = sample.tracks.get("video")
    sound: tuple[Sound, ...] | None = sample.tracks.get("audio")
    no_picture, no_sound = sample.missing.get("video", ""), sample.missing.get("audio", "")
    frames = moving = long = both = Stretches((), "; ".join(why for why in (no_picture, no_sound) if why))
    if picture is None:
        frames = moving = Stretches((), no_picture)
    else:
        frames = Stretches((picture.frames,))
        enough = tuple(m for m in picture.stretches if len(m.times) >= FEWEST)
        moving = Stretches(enough, f"fewer than {FEWEST} frames: no motion to judge")
    if sound is None:
        long = Stretches((), no_sound)
    else:
        heard = tuple(s for s in sound if s.seconds >= SHORTEST_SOUND)
        long = Stretches(heard, f"less than {SHORTEST_SOUND} s of sound")
    if picture is not None and sound is not None:
        pairs = (Together(m, s) for m, s in zip(picture.stretches, sound, strict=False) if len(m.times) >= FEWEST)
        common = tuple(pair for pair in pairs if pair.seconds >= SHORTEST)
        both = Stretches(common, f"picture and sound have less than {SHORTEST} s in common")
    return {
        frozenset({"video"}): {"frames": frames, "motion": moving},
        frozenset({"audio"}): {"sound": long},
        frozenset({"video", "audio"}): {"together": both},
    }


def load_picture(clip: Clip) -> Picture:
    """Decodes the picture once, in three views (`PLANS`)."""
    small, colour, detail = (_precise(view) for view in clip.views(PLANS))
    index = WINDOWS(clip.times)
    luma, times = to_luma(small), clip.times[index].to(small.device)
    cuts = [0, *((index.diff() > 1).nonzero()[:, 0] + 1).tolist(), len(index)]
    stretches = tuple(Motion(luma[a:b], times[a:b]) for a, b in pairwise(cuts))
    return Picture(Frames(to_luma(detail), colour), stretches)


def load_sound(clip: Clip) -> tuple[Sound, ...]:
    """Decodes the sound, at most two channels, at its own rate up to 48 kHz, in stretches."""
    assert clip.sample_rate is not None
    rate = min(clip.sample_rate, HIGHEST_RATE)
    channels = min(clip.channels or 1, 2)
    parts = spans(clip.seconds)
    waves = clip.spans(parts, rate, channels)
    return tuple(Sound(_precise(wave), rate, start) for wave, (start, _) in zip(waves, parts, strict=True))


def spans(seconds: float) -> list[tuple[float, float]]:
    """The stretches of sound (start, stop) in s: all of it up to 30 s, else six windows spread evenly."""
    if seconds <= WINDOWS.seconds * WINDOWS.most + 0.5:
        return [(0.0, seconds + 1)]  # a codec may give a little more than the time stamps promise
    step = (seconds - WINDOWS.seconds) / (WINDOWS.most - 1)
    return [(step * k, step * k + WINDOWS.seconds) for k in range(WINDOWS.most)]


def _precise(x: Tensor) -> Tensor:
    """At least float32: sums over a second of sound need it."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
