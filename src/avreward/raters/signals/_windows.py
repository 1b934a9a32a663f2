"""Decode a clip for the measurements: frames, sizes and windows of audio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.media._precision import widened
from avreward.media.sampling import FramePlan, interval
from avreward.raters.base import Sample
from avreward.raters.signals._audio import AudioWindow
from avreward.raters.signals._av_sync import SHORTEST, AvWindow
from avreward.raters.signals._gates import Gate
from avreward.raters.signals._measurement import Measurement
from avreward.raters.signals._texture import Frames
from avreward.raters.signals._video import Motion, RedGreenBlue, to_luma, to_unit

WHOLE = 30.0  # s; a longer track is watched in windows
WINDOW = 5.0  # s


def spans(end: float) -> list[tuple[float, float]]:
    """Return the (start, stop) in s of the measured parts of a track: all of it up to 30 s, else 3 to 6 windows.

    The windows of 5 s begin at multiples of 10, 20, 40 … s of the clip's clock, whichever leaves at most six. So they
    depend on the track alone, and windows of video and audio of different lengths still overlap.

    >>> spans(12.5), spans(55.0)[-1], spans(61.0)
    ([(0.0, 13.5)], (50.0, 55.0), [(0.0, 5.0), (20.0, 25.0), (40.0, 45.0), (60.0, 65.0)])
    """
    if end <= WHOLE:
        return [(0.0, end + 1)]  # a codec may give a little more than the time stamps promise
    step = WINDOW * 2 ** math.ceil(math.log2(end / WHOLE))
    return [(step * k, step * k + WINDOW) for k in range(6) if step * k + 0.5 < end]


@dataclass(frozen=True)
class FramesInSpans:
    """Every frame of the track's `spans`; the first one where there is none."""

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices, int64 (k,)."""
        inside = torch.zeros(len(times), dtype=torch.bool, device=times.device)
        for start, stop in spans(float(times[-1]) + interval(times)):
            inside |= (times >= start) & (times < stop)
        index = inside.nonzero()[:, 0]
        return index if len(index) else torch.zeros(1, dtype=torch.int64, device=times.device)


@dataclass(frozen=True)
class SingleFrames:
    """Six to thirteen frames, every n-th: the same if the last frame is missing or the time stamps are rounded."""

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices, int64 (k,)."""
        every = 1
        while len(times) > 13 * every:
            every = 2 * every + 1
        return torch.arange(every // 2, len(times), every, device=times.device)


FEW = SingleFrames()
PLANS = (FramePlan(FramesInSpans(), max_side=160), FramePlan(FEW, max_side=160), FramePlan(FEW, crop=1024))
MARGINS = (2, 2, 4)  # pixels at each border that are not looked at: thin black bars are no content
HIGHEST_RATE = 48_000  # Hz; faster sound is resampled, slower is left as it is
LOWEST_RATE = 2_000  # Hz; below it the spectrum is too narrow to measure
SHORTEST_SOUND = 0.1  # s
FEWEST = 3  # frames in which motion can be judged


@dataclass(frozen=True)
class WindowedVideo:
    """A clip's video: single frames, and stretches of consecutive ones."""

    frames: Frames
    stretches: tuple[Motion, ...]


@dataclass(frozen=True)
class WindowViews:
    """The inputs of one kind of measurement, or the reason why there are none."""

    views: tuple[Any, ...]
    why: str = ""

    def mean(self, measurement: Measurement, gate: Gate) -> Tensor:
        """Return the mean of a measurement over the stretches."""
        return torch.stack([measurement.measure(view, gate) for view in self.views]).mean()


def views_of(sample: Sample) -> dict[frozenset[str], dict[str, WindowViews]]:
    """Return for each set of tracks that measurements need: kind of view → stretches."""
    picture: WindowedVideo | None = sample.tracks.get("video")
    sound: tuple[AudioWindow, ...] | None = sample.tracks.get("audio")
    no_picture, no_sound = sample.missing.get("video", ""), sample.missing.get("audio", "")
    frames = moving = long = both = WindowViews((), "; ".join(why for why in (no_picture, no_sound) if why))
    if picture is None:
        frames = moving = WindowViews((), no_picture)
    else:
        frames = WindowViews((picture.frames,))
        enough = tuple(m for m in picture.stretches if len(m.times) >= FEWEST)
        moving = WindowViews(enough, f"fewer than {FEWEST} frames: no motion to judge")
    if sound is None:
        long = WindowViews((), no_sound)
    else:
        heard = tuple(s for s in sound if s.seconds >= SHORTEST_SOUND and s.rate >= LOWEST_RATE)
        long = WindowViews(heard, f"less than {SHORTEST_SOUND} s of sound, or sampled at less than {LOWEST_RATE} Hz")
    if picture is not None and sound is not None:
        pairs = (AvWindow(m, s) for m in enough for s in heard)  # windows meet or are apart
        common = tuple(pair for pair in pairs if pair.seconds >= SHORTEST)
        both = WindowViews(common, f"picture and sound have less than {SHORTEST} s in common")
    return {
        frozenset({"video"}): {"frames": frames, "motion": moving},
        frozenset({"audio"}): {"sound": long},
        frozenset({"video", "audio"}): {"together": both},
    }


def load_video(clip: Clip) -> WindowedVideo:
    """Decode the video once, in three views (`PLANS`)."""
    planes = clip._planes(PLANS)  # of which luma is made faster than of floats, and which take less memory
    detail: Tensor | list[RedGreenBlue]
    if planes is None:
        views = zip(map(widened, clip.views(PLANS)), MARGINS, strict=True)
        small, colour, detail = (_inner(view, margin) for view, margin in views)
        small, detail = to_luma(small), to_luma(detail)
    else:
        small, colour = (_inner(torch.from_numpy(np.asarray(planes[k])), MARGINS[k]) for k in (0, 1))
        detail = [tuple(_inner(torch.from_numpy(plane), MARGINS[2]) for plane in image) for image in planes[2]]
    times = clip.times[FramesInSpans()(clip.times)].to(small.device)
    stretches = []
    for start, stop in spans(float(clip.times[-1]) + interval(clip.times)):
        inside = slice(int((times < start).sum()), int((times < stop).sum()))  # times ascend
        stretches.append(Motion(small[inside], times[inside]))
    return WindowedVideo(Frames(detail, to_unit(colour)), tuple(stretches))


def load_audio(clip: Clip) -> tuple[AudioWindow, ...]:
    """Decode the audio, at most two channels, at its own rate up to 48 kHz, in stretches."""
    rate, channels = min(clip.sample_rate, HIGHEST_RATE), min(clip.channels, 2)
    parts = spans(clip.ends["audio"])
    waves = clip.spans(parts, rate, channels)
    waves = [wave - wave.mean(-1, keepdim=True) for wave in map(widened, waves)]  # a constant is not heard
    return tuple(AudioWindow(wave, rate, start) for wave, (start, _) in zip(waves, parts, strict=True))


def _inner(frames: Tensor, margin: int) -> Tensor:
    """Return frames (…, height, width) without `margin` pixels at each border, if they are large enough."""
    height, width = frames.shape[-2:]
    if min(height, width) < 32 * margin:
        return frames
    return frames[..., margin : height - margin, margin : width - margin]
