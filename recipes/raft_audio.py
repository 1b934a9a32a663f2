"""Trains an audio generator on the best of its own samples (RAFT).

    python recipes/raft_audio.py [--seeds 0 1 2] [--updates 12] [--json out.json]

Generator: `tiny_v2a`, audio for silent videos. Each update samples 8 sounds for each of 2 videos, keeps the one with
the highest reward, and takes a step of flow matching on it, as in pretraining (Dong et al., "RAFT: Reward rAnked
FineTuning", 2023, arXiv:2304.06767): a LoRA of rank 8, four noise levels a sample, AdamW, with a small pull towards the
frozen network. Reward: the correlation over time of the audio's level and the visible change; its order alone is used.

Judged on 6 other scenes: the reward, and held out the envelope of the audio that each scene really has. The control
deals the rewards out at random within each group, so that it trains on any sample instead of the best. By how
much each score should rise over the control (`margins`) was stated before the default seeds were run.
"""

from __future__ import annotations

from tuned import HELD_OUT, Plan, main
from tuned_tasks import dubbing

from avreward import Reward
from avreward.generators import FlowGenerator
from avreward.training import Raft


def loop(generator: FlowGenerator, reward: Reward, seed: int) -> Raft:
    """RAFT."""
    return Raft(generator, reward, steps=8, times=4, learning_rate=3e-3, seed=seed)


PLAN = Plan(loop, updates=12, batch=2, group=8, margins={"reward": 0.01, HELD_OUT + "match": 0.005})

if __name__ == "__main__":
    main(__doc__, PLAN, dubbing)
