"""Rewards on some frames, and what the trained steps keep for the backward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny.flow import FRAMES, JointGenerator
from tiny_diffusers import build
from torch import Tensor

from avreward import Clip, term
from avreward.errors import ArgumentError
from avreward.generators import Condition, DiffusersFlow, FrameDecoder, Noise, sample_flow
from avreward.generators.clip_encoder import decode_some
from avreward.generators.flow_generator import checkpointed_layers
from avreward.training import Draft, add_lora

SEEN: list[int] = []


@term(needs=("video", "audio"), low=0, high=1)
def watched(clip: Clip) -> Tensor:
    """The mean of the frames and of the audio; notes how many frames there were."""
    SEEN.append(len(clip.times))
    return clip.video.mean() + 0.1 * clip.audio.mean()


@term(needs="video", low=0, high=1)
def brightness(clip: Clip) -> Tensor:
    """The mean of all pixels."""
    return clip.video.mean()


class Box:
    """What is saved for a backward pass, as long as it is."""

    def __init__(self, saved: Tensor) -> None:
        self.saved = saved


def kept_bytes(run: Callable[[], Any]) -> int:
    """What a computation keeps for its backward pass."""
    boxes: weakref.WeakSet[Box] = weakref.WeakSet()

    def pack(saved: Tensor) -> Box:
        box = Box(saved)
        boxes.add(box)
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.saved):
        held = run()
    storages = {box.saved.untyped_storage().data_ptr(): box.saved.untyped_storage().nbytes() for box in boxes}
    del held
    return sum(storages.values())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_memory_does_not_grow_with_the_steps_that_are_not_trained(checkpointing: bool) -> None:
    generator = JointGenerator()
    add_lora(generator.network, rank=4)
    noises = [Noise.of(seed) for seed in range(64)]

    def kept(steps: int, last: int) -> int:
        sigmas, trained = generator.sigmas(steps, 0.0), range(steps - last, steps)
        return kept_bytes(
            lambda: sample_flow(generator, 0.0, noises, sigmas, trained=trained, checkpointing=checkpointing)
        )

    assert kept(4, 2) == kept(12, 2) > 0
    assert kept(12, 4) > kept(12, 2)


def test_checkpointing_keeps_less_of_a_step() -> None:
    tiny = build("WanPipeline")
    generator = DiffusersFlow(tiny.pipeline, fps=tiny.fps)
    add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
    encoded = generator.encode(Condition(arguments=tiny.call))
    sigmas = generator.sigmas(2, encoded)
    kept = [
        kept_bytes(lambda own=own: sample_flow(generator, encoded, [Noise.of(0)], sigmas, **own))
        for own in (
            {"trained": [1], "checkpointing": False},
            {"trained": [1], "checkpointing": True},
            {"trained": [0, 1], "checkpointing": True},
        )
    ]
    assert kept[1] < 0.5 * kept[0]
    assert kept[2] < kept[1]  # two calls: their latents alone
    assert not generator.network.is_gradient_checkpointing


@pytest.mark.parametrize("name", ["WanPipeline", pytest.param("LTX2Pipeline", marks=pytest.mark.slow)])
@pytest.mark.parametrize("trained", [range(1, 2), range(2)], ids=["one_call", "two_calls"])
def test_checkpointing_changes_no_gradient(name: str, trained: range) -> None:
    found = []
    for checkpointing in (False, True):
        tiny = build(name)
        generator = DiffusersFlow(tiny.pipeline, fps=tiny.fps)
        parameters = add_lora(generator.network, rank=2, targets=["to_q", "to_v"])
        for number, parameter in enumerate(parameters):
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(number))
        encoded = generator.encode(Condition(arguments=tiny.call))
        sigmas = generator.sigmas(2, encoded)
        latents = sample_flow(generator, encoded, [Noise.of(0)], sigmas, trained=trained, checkpointing=checkpointing)
        sum((x**2).sum() for x in latents.values()).backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in parameters]))
    assert float(found[0].abs().max()) > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6 * float(found[0].abs().max()))


def test_what_the_user_turned_on_stays_on() -> None:
    network = build("WanPipeline").pipeline.transformer
    with checkpointed_layers(network) as layered:
        assert layered
        assert network.is_gradient_checkpointing
    assert not network.is_gradient_checkpointing
    network.enable_gradient_checkpointing()
    with checkpointed_layers(network) as layered:
        assert layered
    assert network.is_gradient_checkpointing
    with checkpointed_layers(torch.nn.Linear(1, 1)) as layered:
        assert not layered


def test_a_reward_of_some_frames() -> None:
    generator = JointGenerator()
    add_lora(generator.network, rank=4)
    SEEN.clear()
    loop = Draft(generator, watched["watched"], steps=3, frames=1)
    loop.update([Condition()] * 4, [Noise.of(i) for i in range(4)])
    assert SEEN == [1] * 4
    latents = generator.start(0.0, [Noise.of(0)])
    drawn = torch.Generator().manual_seed(0)
    clips = [decode_some(generator, latents, 0.0, 1, drawn)[0] for _ in range(8)]
    assert {float(clip.times[0]) for clip in clips} == {0.0, 0.25}
    assert all(clip.audio.shape == clips[0].audio.shape for clip in clips)
    [whole] = decode_some(generator, latents, 0.0, 9, drawn)
    assert len(whole.times) == FRAMES
    with pytest.raises(ArgumentError, match="frames: expected a positive integer, got 0"):
        Draft(generator, watched["watched"], steps=3, frames=0)


def test_a_pipeline_decodes_the_chosen_frames_alone() -> None:
    """The frames are those of the whole clip, and the latents after them get no gradient and are not decoded."""
    tiny = build("WanPipeline")
    generator = DiffusersFlow(tiny.pipeline, fps=tiny.fps)
    assert isinstance(generator, FrameDecoder)
    encoded = generator.encode(Condition(arguments=tiny.call))
    latents = generator.start(encoded, [Noise.of(0)])
    [whole] = generator.decode(latents, encoded)
    seen = set()
    for seed in range(6):
        x = latents["video"].clone().requires_grad_()
        [clip] = generator.decode_frames({"video": x}, encoded, 1, torch.Generator().manual_seed(seed))
        [at] = [int(i) for i in (whole.times[:, None] == clip.times).any(1).nonzero()]
        torch.testing.assert_close(clip.video[0], whole.video[at], rtol=1e-4, atol=1e-5)
        [gradient] = torch.autograd.grad(brightness["brightness"]([clip]).sum(), x)
        reached = gradient.abs().amax((0, 1, 3, 4)) > 0
        assert reached.tolist() == [latent <= -(-at // 2) for latent in range(x.shape[2])]
        seen.add(at)
    assert len(seen) > 1
