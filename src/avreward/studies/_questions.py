"""What people are asked: candidates, the pick among them, and the two that one person compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FIRST, SECOND, NEITHER = "first", "second", "none"
CHOICES = (FIRST, SECOND, NEITHER)
KINDS = ("sound", "clip", "video", "audio")


@dataclass(frozen=True)
class ShownClip:
    """One candidate of a video: `number` among its candidates, where it is from, its reward or why it has none.

    `file` is what a browser plays, relative to the experiment's folder; `None` where the candidate isn't shown.
    """

    number: int
    source: str
    reward: float | None = None
    reason: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class StudyVideo:
    """One video with its candidates, or one pair of clips.

    Attributes:
        name: unique in the experiment.
        candidates: two or more; a person compares two of them.
        picked: number of the rater's pick; `None` where nothing can be asked.
        category: for results by category.
        reason: why nothing can be asked.
        poster: a frame as a data URL, for both clips.
        width, height: of the video, in pixels.
        kind: what differs: ``"sound"`` (one video, two soundtracks), ``"clip"`` (both), ``"video"`` (neither has
            sound) or ``"audio"`` (neither has a video).
        prompt: what the clips were made from; shown where they differ in more than the sound.
        group: what pairs have in common whose answers are not independent; default: `name`.
        margin: difference of the rewards, where only that is known.
    """

    name: str
    candidates: Sequence[ShownClip]
    picked: int | None
    category: str = ""
    reason: str | None = None
    poster: str = ""
    width: int = 16
    height: int = 9
    kind: str = "sound"
    prompt: str = ""
    group: str = ""
    margin: float | None = None


@dataclass(frozen=True)
class StudyQuestion:
    """What one person is asked about one video; `first` and `second` are numbers of candidates, in the order shown."""

    key: str
    video: StudyVideo
    first: int
    second: int

    def shown(self, place: int) -> ShownClip:
        """Return the candidate in the first (0) or second (1) place."""
        number = (self.first, self.second)[place]
        return next(shown for shown in self.video.candidates if shown.number == number)

    def file(self, place: int) -> str:
        """Return the file shown in the first (0) or second (1) place."""
        return str(self.shown(place).file)
