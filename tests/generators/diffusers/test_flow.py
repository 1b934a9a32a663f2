"""Pipelines as the training loops see them: step by step what their own call does, and a LoRA that learns."""

from __future__ import annotations

import pytest
import torch
from tiny_diffusers import build
from torch import Tensor

from avreward import Clip, term
from avreward.errors import ArgumentError
from avreward.generators import Condition, Cost, DiffusersFlow, DiffusersSampler, FlowGenerator, Noise, sample_flow
from avreward.generators.diffusers.flow import PIPELINES
from avreward.training import Draft, add_lora

STEPS = 3


@term(needs="video", low=0, high=1)
def brightness(clip: Clip) -> Tensor:
    """The mean of all pixels."""
    return clip.video.mean()


def opened(name: str) -> tuple[DiffusersFlow, Condition]:
    tiny = build(name)
    return DiffusersFlow(tiny.pipeline, fps=tiny.fps, checkpointing=False), Condition(arguments=dict(tiny.call))


@pytest.mark.parametrize("name", PIPELINES)
def test_euler_steps_give_the_clip_of_the_pipelines_own_call(name: str) -> None:
    generator, condition = opened(name)
    assert isinstance(generator, FlowGenerator)
    sampler = DiffusersSampler(generator.pipeline, fps=build(name).fps)
    [expected] = sampler.make(condition, [Noise.of(3)], Cost(), STEPS)
    encoded = generator.encode(condition)
    sigmas = generator.sigmas(STEPS, encoded)
    with torch.no_grad():
        found = sample_flow(generator, encoded, [Noise.of(3)], sigmas)
        again = sample_flow(generator, encoded, [Noise.of(2), Noise.of(3)], sigmas)
    [clip] = generator.decode(found, encoded)
    torch.testing.assert_close(clip.video.clamp(0, 1), expected.video, rtol=1e-4, atol=1e-4)
    if expected.has_audio:
        torch.testing.assert_close(clip.audio.clamp(-1, 1), expected.audio, rtol=1e-3, atol=1e-3)
    for stream in generator.streams:
        torch.testing.assert_close(again[stream][1:], found[stream], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["WanPipeline", "LTX2Pipeline"])
def test_a_lora_of_a_pipeline_learns(name: str) -> None:
    generator, condition = opened(name)
    add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
    loop = Draft(generator, brightness["brightness"], steps=STEPS, learning_rate=2e-2, kl_weight=0.0)
    before = float(loop.update([condition], [Noise.of(0)]).rewards)
    for _ in range(6):
        after = float(loop.update([condition], [Noise.of(0)]).rewards)
    assert after > before


def test_what_cannot_be_trained_so_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"pipeline: expected one of WanPipeline, .* got a CogVideoXPipeline"):
        DiffusersFlow(build("CogVideoXPipeline").pipeline)
    from diffusers import UniPCMultistepScheduler

    wan = build("WanPipeline").pipeline
    wan.scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    with pytest.raises(ArgumentError, match="expected one with FlowMatchEulerDiscreteScheduler"):
        DiffusersFlow(wan)
