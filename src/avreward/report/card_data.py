"""The content of a reward card as plain data, for the JSON and the page."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avreward.audit._statistics import Difference, Verdict

VERSION = 1  # of the JSON's layout


@dataclass(frozen=True)
class ProbeRow:
    """One probe, over all clips.

    Args:
        name, about, replaces: as in `Probe`.
        values: its reward for each clip, `None` where missing.
        median: of the values that are not missing; `None` if all are.
        to_median: its median minus the median of the real clips that it could be made from.
        to_own: mean of its reward minus the reward of the real clip that it was made from.
        above_median, above_own: number of `values` above the median real clip, and above their own real clip.
        held_out_to_own: `to_own` of the held-out reward.
        verdict: see `avreward.audit._statistics.verdict_of`.
        reasons: why values are missing, without repetitions.
    """

    name: str
    about: str
    replaces: Sequence[str]
    values: Sequence[float | None]
    median: float | None
    to_median: Difference | None
    to_own: Difference | None
    above_median: int
    above_own: int
    held_out_to_own: Difference | None
    verdict: Verdict
    reasons: Sequence[str] = ()

    @property
    def there(self) -> list[float]:
        """The values that are not missing."""
        return [value for value in self.values if value is not None]


@dataclass(frozen=True)
class CardCurve:
    """Mean gains of the trained and the held-out reward by N or by step, in the rewards' own units.

    Args:
        x: N, or the number of steps.
        trained, held_out: gain over the first point; `None` if unknown.
        trained_sd, held_out_sd: standard deviation of the real clips' rewards, so that both can be drawn on one scale.
        clips: the number of clips in the means.
        note: a remark; if `x` is empty, why the curve is missing.
    """

    x: Sequence[int] = ()
    trained: Sequence[float | None] = ()
    held_out: Sequence[float | None] = ()
    trained_sd: float | None = None
    held_out_sd: float | None = None
    clips: int = 0
    note: str = ""


@dataclass(frozen=True)
class Dispersion:
    """Median, minimum and maximum of one number a clip."""

    median: float
    low: float
    high: float
    clips: int


@dataclass(frozen=True)
class AscentSummary:
    """Gradient ascent: the total gain of the trained and the held-out reward, and how far they disagree.

    `disagreement`: trained minus held-out gain, in standard deviations of the real clips; `opposed`: share of the clips
    on which the trained reward rose and the held-out one fell; `reasons`: clip → why its ascent is short or missing.
    """

    gain: Difference | None = None
    held_out_gain: Difference | None = None
    disagreement: float | None = None
    opposed: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoringCost:
    """The cost of rating one clip, with decoding, on the hardware that `machine` names.

    `seconds` and `cpu_seconds` are medians over `clips` clips; `memory_mb` is the peak memory of the process.
    """

    seconds: float
    cpu_seconds: float
    memory_mb: float
    clips: int
    machine: str


@dataclass(frozen=True)
class RewardCard:
    """A reward card.

    Args:
        name: the title.
        expression, fingerprint: of the reward.
        raters: rater's name → its fingerprint.
        low, high: the ends of the reward's scale, infinite where it has none.
        needs, differentiable, prompt_anchored: as in `Reward`.
        held_out: the expression of the held-out reward, empty without one; `held_out_fingerprint` likewise.
        clips: names of the real clips; `real` and `real_held_out`: their rewards.
        failed: name of each clip that was left out → why.
        probes: the result of each probe.
        best_of: gains of the best of N.
        steps: gains by gradient ascent; `climbed` summarizes them.
        gradient_snr: track → signal-to-noise ratio of the gradient.
        cost: of rating a clip.
        seed: of all random choices.
        notes: warnings for the reader.
        settings: more lines, such as versions.
    """

    name: str
    expression: str
    fingerprint: str
    raters: Mapping[str, str]
    low: float
    high: float
    needs: Sequence[str]
    differentiable: bool
    prompt_anchored: bool
    held_out: str
    held_out_fingerprint: str
    clips: Sequence[str]
    real: Sequence[float | None]
    real_held_out: Sequence[float | None]
    failed: Mapping[str, str]
    probes: Sequence[ProbeRow]
    best_of: CardCurve
    steps: CardCurve
    climbed: AscentSummary
    gradient_snr: Mapping[str, Dispersion]
    cost: ScoringCost
    seed: int
    notes: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def beaten_by(self) -> list[str]:
        """The names of the probes whose median is above the median real clip."""
        return [row.name for row in self.probes if row.verdict == "beats"]

    def to_json(self) -> str:
        """Return the card as JSON; a number that is not finite is null."""
        content = {"version": VERSION, "beaten_by": self.beaten_by, **dataclasses.asdict(self)}
        return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
