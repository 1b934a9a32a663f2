"""Trains a video generator by policy gradients on stochastic denoising steps (Flow-GRPO).

    python recipes/flow_grpo_wan.py [--seeds 0 1 2] [--updates 48] [--json out.json]
    python recipes/flow_grpo_wan.py --prompts prompts.txt       # the published Wan 2.1, on a GPU

Each update samples 8 clips for each of 2 prompts by Flow-GRPO's stochastic steps (Liu et al., 2025, arXiv:2505.05470,
equation 9), takes advantages within each group, and replays the steps with a clipped ratio of probabilities. All seven
stochastic steps are trained; `window=3` trains a window that slides over them (MixGRPO, arXiv:2507.21802), which costs
less and leaves more of the reward's spread to chance.
Reward: a calm video, by the change between its frames; no gradient of it is used.

Without a GPU the generator is `tiny_joint`, a bouncing ball, of whose two streams this reward moves the video alone.
Judged on noise that no update saw: the reward, and held out the correlation of neighbouring frames. The control deals
the rewards out at random within each group. By how much each score should rise over the control (`margins`) was
stated before the default seeds were run with these settings. Many updates at a low learning rate: what the reward asks
for adds up, and chance evens out. A quarter of the updates at three times the rate moved the control as far as the
reward did (`docs/benchmarks/tuning.md`).

The published Wan 2.1 is trained on VideoReward, with `signals` held out.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import WanPipeline
from tuned import Plan, Task, main
from tuned_joint import CALM, bouncing, calm, prompted

from avreward import Reward, load_rater
from avreward.generators import FlowGenerator
from avreward.training import FlowGrpo

MODEL, RATER = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "KwaiVGI/VideoReward"
CALL: dict[str, Any] = {"num_frames": 33, "height": 480, "width": 832, "guidance_scale": 1.0}


def loop(generator: FlowGenerator, reward: Reward, seed: int) -> FlowGrpo:
    """Flow-GRPO."""
    settings: dict[str, Any] = {"steps": 8, "kl_weight": 0.0, "clip_range": 1e-3}
    return FlowGrpo(generator, reward, learning_rate=3e-3, seed=seed, **settings)


def tiny() -> Task:
    """Calm videos."""
    return bouncing(calm["calm"])


def published(prompts: list[str]) -> Task:
    """Return the task of the published model."""

    def load() -> Any:
        return WanPipeline.from_pretrained(MODEL, torch_dtype=torch.bfloat16)

    reward, heldout = load_rater(RATER)["overall"], load_rater("signals")["static_quality"]
    return prompted(load, prompts, CALL, reward, heldout, fps=16)


PLAN = Plan(loop, updates=48, batch=2, group=8, margins={"reward": 0.5, CALM: 0.1})

if __name__ == "__main__":
    main(__doc__, PLAN, tiny, published)
