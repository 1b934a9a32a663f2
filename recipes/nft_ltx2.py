"""Trains a joint audio-video generator on its own noised samples, by scores alone (DiffusionNFT).

    python recipes/nft_ltx2.py [--seeds 0 1 2] [--updates 8] [--json out.json]
    python recipes/nft_ltx2.py --prompts prompts.txt            # the published LTX-2, on a GPU

Each update samples 8 clips for each of 2 prompts by Euler steps of the old network, a moving average of the trained
one, and trains a LoRA on these clips with fresh noise: towards the better ones of a group, away from the worse ones
(Zheng et al., "DiffusionNFT", 2025, arXiv:2509.16117, equation 5). Reward: a calm video plus loud audio. Each stream
has advantages of its own, from the term that may move it.

Without a GPU the generator is `tiny_joint`, a bouncing ball with its sounds, in 8 steps. Judged on noise that no update
saw: the reward and its terms; held out, correlation of frames and ITU-R BS.1770 loudness. The control deals the rewards
out at random within each group. By how much each score should rise over the control (`margins`) was stated before the
default seeds were run.

The published LTX-2 is trained on static quality and audio quality of `signals`, with its temporal smoothness held out;
for a reward that also reads the prompt see `joint_av_reward.yaml`.
"""

from __future__ import annotations

from draft_ltx2 import published
from tuned import Plan, main
from tuned_joint import LOUD, bouncing

from avreward import Reward
from avreward.generators import FlowGenerator
from avreward.training import DiffusionNft


def loop(generator: FlowGenerator, reward: Reward, seed: int) -> DiffusionNft:
    """DiffusionNFT."""
    return DiffusionNft(generator, reward, steps=8, times=2, decay=0.3, learning_rate=1e-2, seed=seed)


PLAN = Plan(loop, updates=8, batch=2, group=8, margins={"reward": 0.1, LOUD: 0.5})

if __name__ == "__main__":
    main(__doc__, PLAN, bouncing, published)
