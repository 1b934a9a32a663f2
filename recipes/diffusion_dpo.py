"""Trains a generator on pairs of its own samples (online Diffusion-DPO).

    python recipes/diffusion_dpo.py [--seeds 0 1 2] [--updates 12] [--json out.json]

Generator: `tiny_v2a`, audio for silent videos. Each update samples 8 sounds for each of 2 videos; the best and the
worst of each group by the reward make a pair. The loss is Diffusion-DPO's (Wallace et al., CVPR 2024, arXiv:2311.12908,
equation 14) on velocities, at four noise levels a pair, which both of its samples share; the network without its LoRA
is the reference. Reward: the correlation over time of the audio's level and the visible change, whose order alone is
used.

Judged on 6 other scenes: the reward, and held out the envelope of the audio that each scene really has. The control
deals the rewards out at random within each group, so that pairs are of any two samples. By how much each score
should rise over the control (`margins`) was stated before the default seeds were run.
"""

from __future__ import annotations

from tuned import HELD_OUT, Plan, main
from tuned_tasks import dubbing

from avreward import Reward
from avreward.generators import FlowGenerator
from avreward.training import OnlineDpo


def loop(generator: FlowGenerator, reward: Reward, seed: int) -> OnlineDpo:
    """Diffusion-DPO on fresh pairs."""
    return OnlineDpo(generator, reward, steps=8, times=4, beta=100.0, learning_rate=3e-3, seed=seed)


PLAN = Plan(loop, updates=12, batch=2, group=8, margins={"reward": 0.01, HELD_OUT + "match": 0.005})

if __name__ == "__main__":
    main(__doc__, PLAN, dubbing)
