"""One candidate of a selection, and what the reward said of it in plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.generators.base import Noise
from avreward.raters.scores import as_row
from avreward.rewards.results import Rewards
from avreward.scoring.table_writer import covariates

COVARIATES = ("loudness", "motion")  # columns of the table that some rater measures


@dataclass(frozen=True)
class Judged:
    """What the reward said of one clip, in plain numbers: the clip itself may be forgotten.

    Attributes:
        reward: `None` where missing.
        reason: why it is missing.
        sigma: the standard deviation, where a rater gives one.
        basis: what fused scores were made of; see `Rewards`.
        row: columns of the scored table: scores, covariates.
        reasons: column → why it is missing.
    """

    reward: float | None
    reason: str | None = None
    sigma: float | None = None
    basis: tuple[str, ...] = ()
    row: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass
class Candidate:
    """One candidate: a clip that was given, or one that a search made.

    Attributes:
        index: its place in the order in which candidates were given or made.
        noise: what makes it again, alone; `None` for a clip that was given, and where it depends on others (steering).
        steps: its denoising steps; `None` for those of the condition.
        final: whether it may be chosen: drafts, and those given up on the way, may not.
        judged: reward, reason and columns of the table; `None` where there is no clip to judge.
        reason: why there is no reward; `None` where there is one.
        made, rated: seconds that making and judging took, a share of the batch.
        file: the file that holds it.
        known: taken from an earlier run.
    """

    index: int
    noise: Noise | None = None
    steps: int | None = None
    final: bool = True
    judged: Judged | None = None
    reason: str | None = None
    made: float = 0.0
    rated: float = 0.0
    file: Path | None = None
    known: bool = False

    @property
    def reward(self) -> float | None:
        """The larger, the better; `None` where missing."""
        return None if self.judged is None else self.judged.reward

    @property
    def seed(self) -> int | None:
        """The seed, where it began with the noise of one seed."""
        return None if self.noise is None else self.noise.seed

    @property
    def name(self) -> str:
        """For messages and the table."""
        if self.file is not None:
            return str(self.file)
        return f"candidate {self.index}" if self.seed is None else f"seed {self.seed}"


def file_of(clip: Clip) -> Path | None:
    """Return the file that holds just what the clip holds; `None` for tensors, and for a dub laid over a file."""
    indices = [getattr(track, "index", None) for track in clip._tracks().values()]
    same = clip.path is not None and all(index is not None and index.stamp.path == clip.path for index in indices)
    return clip.path if same else None


def judged_of(rewards: Rewards, i: int, clip: Clip | None = None) -> Judged:
    """Return what `rewards` says of clip `i`; with the clip itself, the table's columns are filled in, too."""
    reason = rewards.reasons[i]
    reward = None if reason is not None else float(rewards.values[i].detach())
    sigma = None if rewards.sigma is None or reward is None else float(rewards.sigma[i].detach())
    row: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if clip is not None:
        row = columns_of(clip)
        for rater, scores in rewards.scores.items():
            for name, value in as_row(scores, i).items():
                row[f"{rater}.{name}"] = value
                row |= {name: value} if name in COVARIATES else {}
            reasons |= {f"{rater}.{name}": why for name, why in scores.reasons[i].items()}
    return Judged(reward, reason, sigma, tuple(rewards.basis[i]), row, reasons)


def columns_of(clip: Clip) -> dict[str, Any]:
    """Return the columns of the table that say what a clip is."""
    try:
        return covariates(clip)
    except MediaError:  # a file that doesn't decode; the reason is among the rater's
        return {"prompt": clip.prompt}
