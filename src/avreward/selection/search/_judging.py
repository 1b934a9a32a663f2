"""Judging candidates as they are made: what they share is computed once, and one that can't be judged costs itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.generators.base import Cost
from avreward.raters.base import Work
from avreward.raters.scores import Scores
from avreward.rewards.base import Reward, Rewards
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


class CandidateJudge:
    """A reward that sees candidates a few at a time, and remembers the work that they share.

    The memory is bounded: a few tracks, whatever the number of candidates.
    """

    def __init__(self, reward: Reward) -> None:
        if not isinstance(reward, Reward):
            raise TypeError(f"reward: a {type(reward).__name__}; pass a reward, such as rater['overall']")
        self.reward = reward
        self.work = [Work() for _ in reward.raters]

    @property
    def columns(self) -> list[str]:
        """The columns with scores: ``signals.audio_quality``."""
        return [f"{rater.name}.{dimension.name}" for rater in self.reward.raters for dimension in rater.dimensions]

    def __call__(self, clips: Sequence[Clip], cost: Cost, full: bool = True) -> list[Judged]:
        """One `Judged` a clip.

        A reward that raises is asked again clip by clip, so that only the clip at fault is missing, with the error as
        its reason. `full` fills in the table's columns, too.
        """
        began = time.perf_counter()
        try:
            return self._judge(clips, cost, full)
        finally:
            cost.seconds += time.perf_counter() - began

    def _judge(self, clips: Sequence[Clip], cost: Cost, full: bool) -> list[Judged]:
        try:
            rewards = self._evaluate(clips)
        except Exception as error:
            if len(clips) > 1:
                return [judged for clip in clips for judged in self._judge([clip], cost, full)]
            cost.rewards += 1
            reason = f"the reward failed: {describe(error)}"
            return [Judged(None, reason, row=_covariates(clips[0]) if full else {}, reasons={"reward": reason})]
        cost.rewards += len(clips)
        return [_judged(rewards, i, clip, full) for i, clip in enumerate(clips)]

    def _evaluate(self, clips: Sequence[Clip]) -> Rewards:
        scores: dict[str, Scores] = {}
        with torch.no_grad():
            for rater, work in zip(self.reward.raters, self.work, strict=True):
                step = 1 if rater.per_clip else 8  # as when a rater is called
                parts = [
                    rater.rate([rater.load(clip, work) for clip in clips[i : i + step]], work)
                    for i in range(0, len(clips), step)
                ]
                scores[rater.name] = Scores.concatenate(parts)
            return self.reward.combine(scores, [clip.prompt for clip in clips])


def describe(error: BaseException) -> str:
    """One line that names an error's kind and says what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def _judged(rewards: Rewards, i: int, clip: Clip, full: bool) -> Judged:
    reason = rewards.reasons[i]
    reward = None if reason is not None else float(rewards.values[i])
    sigma = None if rewards.sigma is None or reward is None else float(rewards.sigma[i])
    row: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if full:
        row = _covariates(clip)
        for rater, scores in rewards.scores.items():
            for name, value, there in zip(scores.names, scores.values[i].tolist(), scores.present[i], strict=True):
                if there:
                    row[f"{rater}.{name}"] = value
                    row |= {name: value} if name in COVARIATES else {}
            reasons |= {f"{rater}.{name}": why for name, why in scores.reasons[i].items()}
    return Judged(reward, reason, sigma, tuple(rewards.basis[i]), row, reasons)


def _covariates(clip: Clip) -> dict[str, Any]:
    try:
        return covariates(clip)
    except MediaError:  # a file that doesn't decode; the reason is among the rater's
        return {"prompt": clip.prompt}
