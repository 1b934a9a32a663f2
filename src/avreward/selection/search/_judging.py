"""Judging candidates as they are made: what they share is computed once, and one that can't be judged costs itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from avreward.clip import Clip
from avreward.generators.base import Cost
from avreward.raters.base import Work
from avreward.raters.scores import Scores
from avreward.rewards.base import Reward, Rewards
from avreward.selection._candidate import Judged, columns_of, judged_of


class CandidateJudge:
    """A reward that sees candidates a few at a time, and remembers the work that they share.

    The memory is bounded: a few tracks, whatever the number of candidates.
    """

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self.work = [Work() for _ in reward.raters]

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
            return [Judged(None, reason, row=columns_of(clips[0]) if full else {}, reasons={"reward": reason})]
        cost.rewards += len(clips)
        return [judged_of(rewards, i, clip if full else None) for i, clip in enumerate(clips)]

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
