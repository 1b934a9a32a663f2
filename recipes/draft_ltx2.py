"""Trains a joint audio-video generator by the gradients of a reward of each stream (DRaFT-K).

    python recipes/draft_ltx2.py [--seeds 0 1 2] [--updates 10] [--json out.json]
    python recipes/draft_ltx2.py --prompts prompts.txt          # the published LTX-2, on a GPU

Reward: a calm video plus loud audio. It is backpropagated through the decoders and the last two denoising steps into a
LoRA (Clark et al., "Directly Fine-Tuning Diffusion Models on Differentiable Rewards", ICLR 2024, arXiv:2309.17400,
section 4). Each stream's velocity is computed with the other stream's latents as constants, so that no gradient
crosses: a quiet video is not the way to a calm one.

Without a GPU the generator is `tiny_joint`, a bouncing ball with its sounds, in 8 Euler steps. Judged on noise that no
update saw: the reward and its terms; held out, correlation of frames and ITU-R BS.1770 loudness. The control gives each
clip's reward a random sign. Stated before the default seeds were run: by how much each score should rise over the
control (`margins`).

The published LTX-2 is trained on static quality and audio quality of `signals`, with its temporal smoothness held out;
for a reward that also reads the prompt see `joint_av_reward.yaml`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import LTX2Pipeline
from tiny_ltx2 import PLAIN
from tuned import Plan, Task, main
from tuned_joint import CALM, LOUD, bouncing, prompted

from avreward import Reward, load_rater
from avreward.generators import FlowGenerator
from avreward.training import Draft

MODEL = "Lightricks/LTX-2"
CALL: dict[str, Any] = {"num_frames": 121, "height": 512, "width": 768, "frame_rate": 24.0, **PLAIN}


def loop(generator: FlowGenerator, reward: Reward, seed: int) -> Draft:
    """DRaFT-2."""
    return Draft(generator, reward, steps=8, truncation=2, learning_rate=5e-3, kl_weight=0.0, seed=seed)


def published(prompts: list[str]) -> Task:
    """Return the task of the published model."""
    signals = load_rater("signals")
    reward = 0.5 * signals["static_quality"] + 0.5 * signals["audio_quality"]

    def load() -> Any:
        return LTX2Pipeline.from_pretrained(MODEL, torch_dtype=torch.bfloat16)

    return prompted(load, prompts, CALL, reward, signals["temporal_smoothness"])


PLAN = Plan(loop, updates=10, batch=3, margins={"reward": 1.0, CALM: 0.05, LOUD: 3.0})

if __name__ == "__main__":
    main(__doc__, PLAN, bouncing, published)
