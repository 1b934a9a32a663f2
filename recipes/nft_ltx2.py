"""Trains a joint audio-video generator on its own noised samples, by scores alone (DiffusionNFT).

    python recipes/nft_ltx2.py [--seeds 0 1 2] [--updates 24] [--json out.json]
    python recipes/nft_ltx2.py --prompts prompts.txt            # the published LTX-2, on a GPU

Each update samples 8 clips for each of 2 prompts by Euler steps of the network, and trains a LoRA on these clips with
fresh noise: towards the better ones of a group, away from the worse ones (Zheng et al., "DiffusionNFT", 2025,
arXiv:2509.16117, equation 5). Reward: a calm video plus loud audio. Each stream has advantages of its own, from the
term that may move it. The network that samples is that of the update before (`decay=0`): a moving average, which long
runs need, lags too far behind in 24 updates.

Without a GPU the generator is `tiny_joint`, a bouncing ball with its sounds, in 8 steps. Judged on noise that no update
saw: the reward and its terms; held out, correlation of frames and ITU-R BS.1770 loudness. The control deals the rewards
out at random within each group. By how much each score should rise over the control is stated in `margins`; none is
stated for the video, which these samples do not move (`docs/benchmarks/tuning.md`).

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
    return DiffusionNft(generator, reward, steps=8, times=1, decay=0.0, learning_rate=1e-3, seed=seed)


PLAN = Plan(loop, updates=24, batch=2, group=8, margins={"reward": 1.0, LOUD: 3.0})

if __name__ == "__main__":
    main(__doc__, PLAN, bouncing, published)
