"""Rows that a rater is trained on: clips by their files, with ratings or an outcome."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from avreward.clip import Clip


@dataclass(frozen=True)
class ClipSource:
    """Where a clip comes from; opened each time it is read, so that nothing stays in memory."""

    clip: Clip | Path
    prompt: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its path or name, for messages."""
        return self.clip.name if isinstance(self.clip, Clip) else str(self.clip)

    @property
    def identity(self) -> Hashable:
        """Equal for the same clip with the same texts."""
        clip = id(self.clip) if isinstance(self.clip, Clip) else self.clip
        return clip, self.prompt, tuple(sorted(self.texts.items()))

    def open(self) -> Clip:
        """Return the clip with its texts."""
        if isinstance(self.clip, Clip):
            return self.clip.with_prompt(self.prompt, self.texts) if self.prompt or self.texts else self.clip
        return Clip.open(self.clip, prompt=self.prompt, texts=self.texts)


@dataclass(frozen=True, eq=False)
class JudgedRow:
    """One row: a clip with ratings, two clips with an outcome, or all clips of a group with ratings.

    Attributes:
        clips: one or more.
        ratings: (clips, dimensions) NaN where unknown, and everywhere for a pair.
        outcome: (dimensions,) 1 first, −1 second, 0 tie, NaN unknown; all NaN unless it is a pair.
        margin: (dimensions,) how clearly the pair was decided; 0 where the table has none.
        group: what the clips answer: their prompt or video.
    """

    clips: tuple[ClipSource, ...]
    ratings: Tensor
    outcome: Tensor
    margin: Tensor
    group: str
