"""Stereo against motion: does a sound come from the side on which something moves?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import UnusableTrack
from avreward.media._precision import no_autocast, widened
from avreward.media.sampling import FramePlan, check_times
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.checkpoints._fingerprint import digest
from avreward.raters.scores import Scores
from avreward.raters.stereo._card import DIMENSIONS
from avreward.raters.stereo._cues import GRID, LAG, LEVEL, STILL, Hearing, Movement, agreement, is_mono
from avreward.raters.stereo._version import VERSION

LONGEST = 30.0  # s; later parts of a clip are not rated
SHORTEST = 0.5  # s that video and audio have in common
HIGHEST_RATE = 48_000  # Hz
SILENT = 1e-8  # mean square, −80 dBFS


@dataclass(frozen=True)
class Beginning:
    """Every frame of the first `seconds` of the clip, and the first frame where there is none."""

    seconds: float

    def __call__(self, times: Tensor) -> Tensor:
        """Return ascending indices; raise `MediaError` if there are no frames."""
        count = int((check_times(times) < self.seconds).sum())
        return torch.arange(max(1, count), device=times.device)


PLAN = FramePlan(Beginning(LONGEST), max_side=96)


class StereoRater(Rater):
    """Whether a sound comes from the side on which something moves, by level and time between the channels.

    `panning` is 1 where the sound follows what moves, −1 where the channels are swapped, and about 0 where the two have
    nothing to do with each other. What moves is the centre, from left to right, of the changes between frames that
    stand out from those of the whole frame. What sounds is the difference between the channels in level (over 6 dB) and
    in time (over 0.3 ms). Swapped channels have the opposite score.

    Missing where the audio is mono or has two equal channels, where nothing moves, and where nothing is heard.

    Example:
        >>> noise = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
        >>> video = torch.zeros(12, 3, 32, 64)
        >>> for number in range(12):
        ...     video[number, :, 12:20, 5 * number : 5 * number + 8] = 1  # a square goes from left to right
        >>> pan = torch.linspace(0.1, 0.9, 16000)
        >>> audio = torch.cat([noise * (1 - pan), noise * pan])
        >>> scores = StereoRater()([Clip(video=video, fps=12, audio=audio, sample_rate=16000)])
        >>> bool(scores["panning"] > 0.7)
        True
    """

    name = "stereo"
    dimensions = DIMENSIONS
    per_clip = True
    travels = True
    versions = MappingProxyType({**Rater.versions, "stereo": VERSION})

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed late
        """Fingerprint of the versions of the code."""
        return f"{self.name}:{digest(self.versions)}"

    @property
    def settings(self) -> Mapping[str, str]:
        """What is read."""
        return {"frames": repr(PLAN), "sound": f"two channels up to {HIGHEST_RATE} Hz, the first {LONGEST:g} s"}

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of the small frames."""
        return [PLAN]

    def load_track(self, clip: Clip, track: str) -> Any:
        """Return the movement in the video, or the audio (2, samples) and its rate."""
        with no_autocast():
            if track == "audio":
                return _load_audio(clip)
            frames = widened(clip.frames(PLAN))
            if len(frames) < 3:
                raise UnusableTrack(clip.path or "clip", "fewer than 3 frames: nothing can move", "give a longer clip")
            return Movement.of(frames, clip.times[PLAN.rule(clip.times)].to(frames.device))

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""
        work = work or Work()
        return Scores.collect([self._row(sample, work) for sample in samples], self.dimensions)

    def _row(self, sample: Sample, work: Work) -> tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]:
        names = [dimension.name for dimension in self.dimensions]
        if sample.missing:
            return {}, dict.fromkeys(names, "; ".join(sample.missing.values())), {}
        key = (self.fingerprint, sample.clip.work_key("video"), sample.clip.work_key("audio"))
        with no_autocast():
            found = work.results.get(key, partial(_compared, sample.tracks["video"], *sample.tracks["audio"]))
        if isinstance(found, str):
            return {}, dict.fromkeys(names, found), {}
        return dict(zip(names, found, strict=True)), {}, {}


def _load_audio(clip: Clip) -> tuple[Tensor, int]:
    rate = min(clip.sample_rate, HIGHEST_RATE)
    why = "the audio is mono: it has no sides"
    if clip.channels == 1:
        raise UnusableTrack(clip.path or "clip", why, "give audio with two channels")
    (wave,) = clip.spans([(0.0, LONGEST)], rate, 2)
    wave = widened(wave)
    if bool(wave.detach().square().mean() < SILENT):
        raise UnusableTrack(clip.path or "clip", "the audio is silent throughout", "give a clip with sound")
    if is_mono(wave):
        raise UnusableTrack(clip.path or "clip", f"{why}, both channels are the same", "give audio with two sides")
    return wave, rate


def _compared(movement: Movement, wave: Tensor, rate: int) -> Tensor | str:
    """Return (panning, level_panning, time_panning), or why there is none."""
    start, stop = float(movement.times[0]), min(float(movement.times[-1]), wave.shape[-1] / rate)
    if stop - start < SHORTEST:
        return f"video and audio have less than {SHORTEST} s in common"
    if bool(movement.energy.detach().amax() < STILL):
        return "nothing moves"
    points = torch.arange(int((stop - start) / GRID), dtype=torch.float64, device=movement.times.device)
    grid = start + GRID * (points + 0.5)
    place, energy = movement.at(grid)
    heard = Hearing.of(wave, rate, grid.to(wave.device))
    weight = torch.sqrt(heard.power.to(energy) * energy)
    level = torch.tanh(heard.level.to(place) / (2 * LEVEL))
    lag = torch.tanh(heard.lag.to(place) / (2 * LAG))
    return torch.stack([agreement(place, side, weight, (0.05, 0.05)) for side in (level + lag, level, lag)])
