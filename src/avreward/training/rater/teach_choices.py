"""Choices to teach a rater from: what was compared, and what was preferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described


@dataclass(frozen=True)
class Judgment:
    """One choice among clips, or the result of one comparison.

    Attributes:
        clips: those that were compared, two or more.
        chosen: the position of the preferred one; `None` for a tie of two.
        group: what judgments have in common that are not independent: prompt or video. Checks hold out whole groups.
        systems: what made each clip (*optional*); needed to check that quality was learned and not who made it.
        weight: how much it counts.

    Raises:
        ArgumentError: for fewer than two clips, a position that no clip has, or a tie of more than two.
    """

    clips: tuple[Clip, ...]
    chosen: int | None
    group: str
    systems: tuple[str, ...] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if len(self.clips) < 2:
            got = Described(f"{len(self.clips)} in the group {self.group}")
            raise ArgumentError("clips", "at least two clips to choose from", got)
        if self.chosen is None and len(self.clips) > 2:
            raise ArgumentError("chosen", "the position of a clip, since more than two were compared", self.chosen)
        if self.chosen is not None and not 0 <= self.chosen < len(self.clips):
            raise ArgumentError("chosen", f"a position from 0 to {len(self.clips) - 1}", self.chosen)
        if self.systems is not None and len(self.systems) != len(self.clips):
            raise ArgumentError("systems", f"one for each of the {len(self.clips)} clips", self.systems)


def judgments_of_ratings(
    clips: Sequence[Clip],
    ratings: Sequence[float],
    groups: Sequence[str],
    systems: Sequence[str] | None = None,
) -> list[Judgment]:
    """Return the comparisons that ratings imply within each group: of each two clips, the better rated is preferred.

    Each group counts as much as a choice among its clips. Equal ratings are ties.

    Args:
        clips: that were rated.
        ratings: of each clip; more is better.
        groups: of each clip.
        systems: of each clip (*optional*).

    Raises:
        ArgumentError: if the lengths differ, a rating is not finite, or all ratings are equal.

    Example:
        >>> found = judgments_of_ratings([clip, clip, clip], [4.5, 3.0, 3.0], ["a", "a", "a"])
        >>> [one.chosen for one in found]
        [0, 0, None]
    """
    if not len(clips) == len(ratings) == len(groups):
        raise ArgumentError("ratings", f"one for each of {len(clips)} clips", Described(f"{len(ratings)}"))
    for clip, rating in zip(clips, ratings, strict=True):
        if not abs(rating) < float("inf"):
            raise ArgumentError("ratings", "finite numbers", Described(f"{rating} for {clip.name}"))
    if len(set(ratings)) < 2:
        raise ArgumentError("ratings", "at least two different ratings", Described(f"{len(ratings)} equal ones"))
    places: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        places.setdefault(group, []).append(i)
    found = []
    for group, own in places.items():
        for first, i in enumerate(own):
            for j in own[first + 1 :]:
                chosen = None if ratings[i] == ratings[j] else int(ratings[j] > ratings[i])
                made = None if systems is None else (systems[i], systems[j])
                found.append(Judgment((clips[i], clips[j]), chosen, group, made, 1 / (len(own) - 1)))
    return found


def own_sounds(clips: Sequence[Clip], others: int = 2, seed: int = 0) -> list[Judgment]:
    """Return judgments that need no person: of each video its own audio, against audio of other videos and shifts.

    The audio of another video is cut or repeated to the length. Shifts go round, by a quarter to three quarters of the
    length, so that only the match with the video tells them apart.

    Args:
        clips: real videos with their own audio, two or more.
        others: number of other videos whose audio is taken, and of shifts.
        seed: of the draw.

    Raises:
        ArgumentError: for fewer than two clips, or one without video or audio.
    """
    if len(clips) < 2:
        raise ArgumentError("clips", "at least two videos with audio", Described(f"{len(clips)}"))
    for clip in clips:
        if not (clip.has_video and clip.has_audio):
            raise ArgumentError("clips", "videos with their own audio", Described(f"{clip.name} without"))
    generator = torch.Generator().manual_seed(seed)
    times = Counter(clip.name for clip in clips)
    found = []
    for i, clip in enumerate(clips):
        rate, sound = clip.sample_rate, clip.sound()
        length = sound.shape[1]
        made = [clip.with_audio(sound, rate)]
        order = torch.randperm(len(clips) - 1, generator=generator)[:others].tolist()
        for k in order:
            other = clips[k + (k >= i)].sound(rate, len(sound))
            made.append(clip.with_audio(other.repeat(1, -(-length // other.shape[1]))[:, :length], rate))
        for _ in range(others):
            by = float(torch.rand((), generator=generator)) / 2 + 0.25
            made.append(clip.with_audio(sound.roll(round(by * length), 1), rate))
        group = clip.name if times[clip.name] == 1 else f"{clip.name} ({i + 1})"
        found.append(Judgment(tuple(made), 0, group))
    return found
