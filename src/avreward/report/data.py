"""The content of a ranking page as plain data, without tensors and raters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avreward.report._attribution import AttributionView
    from avreward.report._why import Why


@dataclass(frozen=True)
class Bar:
    """One dimension of one candidate.

    Args:
        name: of the dimension.
        value: the score, or `None` where it is missing.
        low, high: the ends of the drawn scale.
        level: bad … excellent, for a calibrated dimension.
        reason: why `value` is missing.
        unit: of `value`.
        description: of the dimension, in one line.
        others: scores of the other candidates, drawn as ticks.
    """

    name: str
    value: float | None
    low: float
    high: float
    level: str | None = None
    reason: str = ""
    unit: str = ""
    description: str = ""
    others: tuple[float, ...] = ()

    def place(self, value: float) -> float:
        """Return the position of `value` on the scale, 0 to 100; values outside are drawn at the ends."""
        span = self.high - self.low
        return 100 * min(1.0, max(0.0, (value - self.low) / span)) if span > 0 else 50.0


@dataclass(frozen=True)
class MeasurementView:
    """One measurement behind the dimensions.

    Args:
        name: of the measurement.
        value: in `unit`; `None` if there was nothing to measure, with the reason in `note`.
        cost_ms: the time that it took, in milliseconds.
        source: the definition that it follows.
        better: ``"higher"``, ``"lower"``, or empty if neither is.
        feeds: the dimension that it is part of, or empty.
        points: the points that this dimension lost because of it.
        penalty: its share of them, in a unit of its own; what the penalties of a dimension add up to decides its score.
    """

    name: str
    value: float | None
    unit: str = ""
    cost_ms: float | None = None
    source: str = ""
    better: str = ""
    note: str = ""
    feeds: str = ""
    points: float | None = None
    penalty: float | None = None


@dataclass(frozen=True)
class PlayableMedia:
    """What the browser plays, with its poster and timelines.

    Args:
        url: relative to the page, quoted; empty if nothing can be played, with the reason in `problem`.
        kind: ``"video"`` or ``"audio"``.
        poster: a small image as a data URL, or empty.
        sound: loudness in equal spans of time, 0 to 1; empty without audio.
        motion: how much the video changes in equal spans of time, 0 to 1; empty if unknown.
        width, height: of the video, so that the layout does not shift while it loads.
    """

    url: str
    kind: str
    poster: str = ""
    sound: tuple[float, ...] = ()
    motion: tuple[float, ...] = ()
    width: int = 16
    height: int = 9
    problem: str = ""


@dataclass(frozen=True)
class CandidateView:
    """One candidate on the page.

    `facts` are short strings such as ``"640 × 360"``; `basis` are the dimensions that the reward was made of, if they
    differ between candidates; `caption` is a line about this one, such as its prompt if prompts differ; `level` is the
    reward's level, if the reward is one calibrated dimension; `reasons` are the measurements that cost most;
    `attribution` draws which moments and regions the reward depends on.
    """

    name: str
    reward: float
    bars: Sequence[Bar]
    media: PlayableMedia
    sigma: float | None = None
    measurements: Sequence[MeasurementView] = ()
    facts: Sequence[str] = ()
    basis: Sequence[str] = ()
    caption: str = ""
    level: str | None = None
    reasons: Sequence[MeasurementView] = ()
    attribution: AttributionView | None = None

    @property
    def cost_ms(self) -> float:
        """The time of all its measurements, in milliseconds."""
        return sum(m.cost_ms or 0.0 for m in self.measurements)


@dataclass(frozen=True)
class FailedFile:
    """A candidate that was not ranked, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Page:
    """The content of a ranking page.

    Args:
        candidates: best first.
        failures: candidates that were not ranked.
        expression: of the reward.
        prompt: the prompt of all candidates, or empty.
        notes: warnings, such as that the reward does not read the prompt.
        settings: label → value, everything needed to repeat the run.
        same_picture: whether candidates are dubs of one video; then the playback position is kept when switching.
        own: the dimension that equals the reward, or empty.
        wall_s: the time for opening, decoding and rating, in seconds.
        why: what sets the best candidate apart; `None` for a single one.
    """

    candidates: Sequence[CandidateView]
    failures: Sequence[FailedFile] = ()
    expression: str = "overall"
    prompt: str = ""
    notes: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    same_picture: bool = False
    own: str = ""
    wall_s: float | None = None
    why: Why | None = None

    @property
    def title(self) -> str:
        """The name of the best candidate and the number of candidates."""
        if not self.candidates:
            return "Nothing could be ranked"
        best, count = self.candidates[0].name, len(self.candidates)
        return best if count == 1 else f"Best of {count}: {best}"

    @property
    def columns(self) -> list[str]:
        """The dimensions of all candidates, in order, without the one that equals the reward (`own`)."""
        names = dict.fromkeys(bar.name for candidate in self.candidates for bar in candidate.bars)
        return [name for name in names if name != self.own]

    @property
    def levels(self) -> bool:
        """Whether any dimension has levels."""
        return any(bar.level for candidate in self.candidates for bar in candidate.bars)
