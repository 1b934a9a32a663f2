"""Rating candidates as they are made; one that can't be rated costs itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

from avreward.clip import Clip
from avreward.generators.base import Cost
from avreward.rewards.base import Reward
from avreward.scoring.evaluator import Evaluator
from avreward.selection._candidate import Judged, judged_of


def judge(evaluator: Evaluator[Reward], clips: Sequence[Clip], cost: Cost, full: bool = True) -> list[Judged]:
    """Return one `Judged` a clip, and count what it cost.

    A clip that a rater fails on is missing, with the error as its reason: the next candidates may do better. `full`
    fills in the table's columns, too.
    """
    began = time.perf_counter()
    try:
        rewards = evaluator.evaluate(clips, strict=False)
    finally:
        cost.seconds += time.perf_counter() - began
    cost.rewards += len(clips)
    return [judged_of(rewards, i, clip if full else None) for i, clip in enumerate(clips)]
