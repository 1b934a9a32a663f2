"""Rating of candidates as they are generated; one that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Sequence

from avreward.clip import Clip
from avreward.generators.base import Cost
from avreward.rewards.base import Reward
from avreward.scoring.evaluator import Evaluator
from avreward.selection._candidate import Judged, judged_of


def judge(evaluator: Evaluator[Reward], clips: Sequence[Clip], cost: Cost, full: bool = True) -> list[Judged]:
    """Return one `Judged` per clip, and add the work to `cost`.

    A clip on which a rater fails is missing, with the error as its reason.

    Args:
        evaluator: rates the clips.
        clips: to rate.
        cost: the number of clips and the seconds are added here.
        full: whether to fill in the columns of the scored table, too.
    """
    began = time.perf_counter()
    try:
        rewards = evaluator.evaluate(clips, strict=False)
    finally:
        cost.seconds += time.perf_counter() - began
    cost.rewards += len(clips)
    return [judged_of(rewards, i, clip if full else None) for i, clip in enumerate(clips)]
