"""Attribution by occlusion: rate the clip again without each moment, and without each region of the frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from avreward.audit import _substitutes as substitutes
from avreward.audit.ascent import built
from avreward.clip import Clip
from avreward.raters._loop import batch_size_of
from avreward.rewards.base import Reward
from avreward.rewards.results import MissingScore
from avreward.scoring.evaluator import Evaluator

AT_ONCE = 2**29  # bytes of frames as 32-bit floats that are rated together; one clip in any case

Step = Callable[[str], None]
Variant = tuple[str, Callable[[], Clip]]  # what it lacks, and what makes it


@dataclass(frozen=True)
class MomentWindows:
    """Windows of equal length that overlap by half and cover a stretch of time, in s."""

    start: tuple[float, ...]
    stop: tuple[float, ...]

    @classmethod
    def over(cls, seconds: float, length: float, shortest: float = 0.02) -> MomentWindows:
        """Return windows of about `length` s: at most a quarter of the whole, at least `shortest`; none if too short.

        >>> MomentWindows.over(2.0, 1.0)
        MomentWindows(start=(0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5), stop=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0))
        """
        length = max(min(length, seconds / 4), shortest)
        if seconds < 2 * length:
            return cls((), ())
        count = math.ceil(2 * seconds / length - 1e-6) - 1
        hop = (seconds - length) / (count - 1)
        start = tuple(round(k * hop, 6) for k in range(count))
        return cls(start, tuple(round(begin + length, 6) for begin in start))


def value_of(reward: Reward, clip: Clip) -> float:
    """Return the reward of a clip.

    Raises:
        MissingScore: if it has none.
    """
    rewards = Evaluator(reward).evaluate([clip])
    if not rewards.present[0]:
        raise MissingScore.of([clip.name], {0: str(rewards.reasons[0])}, "pass a clip that has what the reward needs")
    return float(rewards.values[0])


def effects_of(
    reward: Reward, value: float, clip: Clip, variants: list[Variant], step: Step
) -> Iterator[tuple[float | None, str | None]]:
    """Yield how much the reward (`value` for the whole clip) falls in each variant, or `None` and why it has none.

    Memory holds a few variants at a time: as many as the raters rate at once, and at most 512 MiB of frames.
    """
    evaluator = Evaluator(reward)
    size = 12 * len(clip.times) * clip.height * clip.width if clip.has_video else 1
    at_once = max(1, min(max(batch_size_of(rater) for rater in reward.raters), AT_ONCE // size))
    for first in range(0, len(variants), at_once):
        batch = variants[first : first + at_once]
        rewards = evaluator.evaluate([make() for _, make in batch], strict=False)
        for (label, _), after, why in zip(batch, rewards.values.tolist(), rewards.reasons, strict=True):
            step(label)
            yield (value - after, None) if why is None else (None, why)


def without_moments(clip: Clip, stream: str, windows: MomentWindows) -> list[Variant]:
    """Return the variants of a clip that lack a moment of ``"video"`` or ``"audio"``."""
    track = clip.video if stream == "video" else clip.sound()

    def made(start: float, stop: float) -> Clip:
        if stream == "video":
            first, end = substitutes.frames_between(clip.times, start, stop)
            return _changed(clip, video=substitutes.video_without_moment(track, first, end))
        return _changed(clip, audio=substitutes.audio_without_moment(track, clip.sample_rate, start, stop))

    return [
        (f"{stream} without {start:.2f} to {stop:.2f} s", partial(made, start, stop))
        for start, stop in zip(windows.start, windows.stop, strict=True)
    ]


def without_regions(clip: Clip, grid: tuple[int, int]) -> list[Variant]:
    """Return the variants of a clip that lack a block of the frame, row by row."""
    video = clip.video
    soft = substitutes.blurred(video, grid)
    masks = substitutes.block_masks(clip.height, clip.width, grid)

    def made(mask: tuple[Tensor, Tensor]) -> Clip:
        return _changed(clip, video=substitutes.video_without_region(video, soft, mask))

    return [(f"frame without row {r + 1}, column {c + 1}", partial(made, mask)) for (r, c), mask in masks.items()]


def _changed(clip: Clip, video: Tensor | None = None, audio: Tensor | None = None) -> Clip:
    """Return the clip with another video or audio; the other track is shared, so that it is rated once."""
    if audio is not None:
        return clip.with_audio(audio, clip.sample_rate)
    assert video is not None
    changed = built(clip, {"video": video})
    return changed.with_audio(clip) if clip.has_audio else changed
