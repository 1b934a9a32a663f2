"""What the page shows, as plain data: no tensor, no rater, so that it can be built by hand and drawn without either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


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
        description: one line for a person.
        others: the other candidates' scores on the same scale, drawn as ticks.
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
        """Where `value` stands on the scale, 0 to 100; what lies outside is drawn at the end."""
        span = self.high - self.low
        return 100 * min(1.0, max(0.0, (value - self.low) / span)) if span > 0 else 50.0


@dataclass(frozen=True)
class MeasurementView:
    """One measurement behind the dimensions.

    Args:
        name: of the measurement.
        value: in `unit`; `None` where there was nothing to measure, and `note` then says why.
        cost_ms: the time that it took.
        source: the definition that it follows.
        better: ``"higher"``, ``"lower"``, or empty where neither is.
        feeds: the dimension that it is part of, or empty.
        points: how much of what that dimension lost is due to it.
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


@dataclass(frozen=True)
class PlayableMedia:
    """What the browser plays, and what it shows before.

    Args:
        url: relative to the page, quoted; empty where nothing can be played, and `problem` then says why.
        kind: ``"video"`` or ``"audio"``.
        poster: a small picture as a data URL, or empty.
        sound: the loudest sample of each of some equal spans, 0 to 1; empty without sound.
        motion: how much the picture changes in each of some equal spans, 0 to 1; empty if unknown.
        width, height: of the picture, so that the page doesn't jump while it loads.
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
    """One candidate, as far as the page tells of it.

    `facts` are short strings such as ``"640 × 360"``; `basis` the dimensions that the reward was made of, where that
    is not the same for all; `caption` what a person should know of this one, such as its prompt where prompts differ;
    `level` that of the reward, where the reward is one calibrated dimension; `reasons` what cost it most.
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

    @property
    def cost_ms(self) -> float:
        """What all its measurements took."""
        return sum(m.cost_ms or 0.0 for m in self.measurements)


@dataclass(frozen=True)
class FailedFile:
    """A candidate that was not ranked, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Page:
    """The whole page.

    Args:
        candidates: best first.
        failures: what was not ranked.
        expression: the reward.
        prompt: what all candidates answer, or empty.
        notes: lines that a reader must not miss (what the rater does not look at).
        settings: label → value, everything needed to repeat the run.
        same_picture: candidates are dubs of one video, so playing another one goes on at the same place.
        own: the dimension that the reward is, where it is a single one.
        wall_s: what opening, decoding and rating took.
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

    @property
    def title(self) -> str:
        """One line: what is best, of how many."""
        if not self.candidates:
            return "Nothing could be ranked"
        best, count = self.candidates[0].name, len(self.candidates)
        return best if count == 1 else f"Best of {count}: {best}"

    @property
    def columns(self) -> list[str]:
        """The dimensions that any candidate has, in order, but for the one that is the reward itself (`own`)."""
        names = dict.fromkeys(bar.name for candidate in self.candidates for bar in candidate.bars)
        return [name for name in names if name != self.own]

    @property
    def levels(self) -> bool:
        """Whether any dimension has levels."""
        return any(bar.level for candidate in self.candidates for bar in candidate.bars)
