"""Tasks of the recipes that fine-tune a joint generator: `tiny_joint`, or a published pipeline of diffusers.

Each property of the tiny one is measured twice, by unrelated means: training sees one, and the other tells whether the
property itself has changed.

| property | trained on | held out |
|---|---|---|
| calm video | mean change between frames | correlation of neighbouring frames |
| loud audio | root mean square | ITU-R BS.1770 loudness (`signals.loudness`) |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from tiny_joint.generator import LORA, TinyJoint, tiny_joint
from tiny_joint.scenes import COLOURS, prompt_of
from torch import Tensor
from tuned import HELD_OUT, Task

from avreward import Clip, load_rater, term
from avreward.generators import Condition, DiffusersFlow
from avreward.rewards import Reward
from avreward.training import add_lora

RANK, PUBLISHED_RANK = 8, 64
CALM, LOUD = (HELD_OUT + name for name in ("likeness of frames", "loudness (LUFS)"))


def still(clip: Clip) -> Tensor:
    """Return minus the mean change between frames, on a logarithmic scale."""
    return -((clip.video[1:] - clip.video[:-1]).abs().mean() + 1e-3).log()


def level(clip: Clip) -> Tensor:
    """Return the audio's root mean square, on a logarithmic scale."""
    return 0.5 * (clip.audio.square().mean() + 1e-6).log()


def alike(clip: Clip) -> Tensor:
    """Return the mean correlation of neighbouring frames, which a ball that fades does not raise."""
    frames = clip.video.flatten(1)
    frames = frames - frames.mean(1, keepdim=True)
    return torch.nn.functional.cosine_similarity(frames[1:], frames[:-1]).mean()


@term(needs="video")
def calm(clip: Clip) -> Tensor:
    """Little change between frames; its gradient moves the video."""
    return still(clip)


@term(needs="audio")
def loud(clip: Clip) -> Tensor:
    """High level; its gradient moves the audio."""
    return level(clip)


def bouncing(reward: Reward | None = None) -> Task:
    """Calm videos with loud audio: `tiny_joint`; or another `reward`."""

    def build(seed: int) -> TinyJoint:
        generator = tiny_joint()
        add_lora(generator.network, rank=RANK, targets=LORA, seed=seed)
        return generator

    signals = load_rater("signals")

    def heldout(clips: Sequence[Clip], number: int) -> Mapping[str, Tensor]:
        found = (torch.stack([alike(clip) for clip in clips]), signals["signals.loudness"](clips))
        return {name.removeprefix(HELD_OUT): values for name, values in zip((CALM, LOUD), found, strict=True)}

    conditions = [Condition(arguments={"prompt": prompt_of(colour)}) for colour in COLOURS]
    return Task(build, calm["calm"] + loud["loud"] if reward is None else reward, heldout, conditions, conditions)


def prompted(
    load: Callable[[], Any], prompts: Sequence[str], call: Mapping[str, Any], reward: Reward, heldout: Reward,
    fps: float | None = None,
) -> Task:  # fmt: skip
    """Return the task of a diffusers pipeline; the last eighth of the prompts, one at least, is never trained on.

    Args:
        load: returns the pipeline, anew for each run.
        prompts: two at least.
        call: arguments of the pipeline's call beside the prompt.
        reward: that is trained on.
        heldout: that is not.
        fps: frames per second, where the pipeline does not tell it.
    """
    if len(prompts) < 2:
        raise ValueError(f"prompts: expected two at least, got {len(prompts)}; the last ones are held out")

    def build(seed: int) -> DiffusersFlow:
        pipe = load().to("cuda" if torch.cuda.is_available() else "cpu")
        generator = DiffusersFlow(pipe, fps=fps)
        add_lora(generator.network, rank=PUBLISHED_RANK, targets=["to_q", "to_k", "to_v", "to_out.0"], seed=seed)
        return generator

    conditions = [Condition(arguments={"prompt": prompt, **call}) for prompt in prompts]
    held = max(1, len(prompts) // 8)

    def judge(clips: Sequence[Clip], number: int) -> Mapping[str, Tensor]:
        return {repr(heldout): heldout.evaluate(clips).values}

    return Task(build, reward, judge, conditions[:-held], conditions[-held:], noises=1)
