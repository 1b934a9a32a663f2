"""Reward guidance in a modular pipeline of diffusers: further along the reward than without, and saved but for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("diffusers")

import torch
from diffusers import ClassifierFreeGuidance
from diffusers.modular_pipelines.wan import WanBlocks
from tiny_pipelines import tiny_wan
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.generators import RewardGuidance
from avreward.rewards import LatentReward

TEXT = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pipe() -> Any:
    blocks, parts = WanBlocks(), tiny_wan()
    blocks.sub_blocks.pop("text_encoder")  # it needs ftfy
    pipe = blocks.init_pipeline()
    pipe.update_components(vae=parts.vae, scheduler=parts.scheduler, transformer=parts.transformer)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def made(pipe: Any, guider: Any, output: str = "latents") -> Tensor:
    pipe.update_components(guider=guider)
    size = {"height": 16, "width": 16, "num_frames": 3, "num_inference_steps": 4}
    features = {"prompt_embeds": TEXT, "negative_prompt_embeds": 0 * TEXT}
    return pipe(**features, **size, output=output, generator=torch.Generator().manual_seed(0))


def near_one(latents: Tensor) -> Tensor:
    return -(latents - 1).square().flatten(1).mean(1)


def test_it_raises_the_reward_and_is_plain_guidance_without_strength(pipe: Any) -> None:
    plain = made(pipe, ClassifierFreeGuidance(guidance_scale=2.0))
    assert torch.equal(made(pipe, RewardGuidance(near_one, strength=0, guidance_scale=2.0)), plain)
    late = RewardGuidance(near_one, strength=0.3, start=0.99, guidance_scale=2.0)
    assert torch.equal(made(pipe, late), plain)
    rewards = [float(near_one(made(pipe, RewardGuidance(near_one, s, guidance_scale=2.0)))) for s in (0.1, 0.3)]
    assert float(near_one(plain)) < rewards[0] < rewards[1]
    with torch.inference_mode():
        assert float(near_one(made(pipe, RewardGuidance(near_one, 0.3, guidance_scale=2.0)))) == rewards[1]


def test_the_clean_sample_moves_by_its_share_along_the_gradient() -> None:
    guider = RewardGuidance(lambda x: 3 * x.flatten(1).sum(1), strength=0.1, start=0.0, guidance_scale=1.0)
    guider.set_state(step=0, num_inference_steps=2, timestep=torch.tensor(500.0))
    guider._latents = latents = torch.randn(2, 4, 1, 2, 2)
    pred = torch.randn_like(latents)
    moved = latents - 0.5 * guider.forward(pred).pred - (latents - 0.5 * pred)
    clean = latents - 0.5 * pred
    expected = 0.1 * clean.flatten(1).norm(dim=1) / 16**0.5
    torch.testing.assert_close(moved, expected.view(-1, 1, 1, 1, 1).expand_as(moved), atol=1e-5, rtol=0)


def test_a_latent_reward_guides(pipe: Any) -> None:
    reward = LatentReward(pipe, lambda clips: torch.stack([clip.video.mean() for clip in clips]), fps=8)
    found = made(pipe, RewardGuidance(reward, 0.2, guidance_scale=2.0))
    assert not torch.equal(found, made(pipe, ClassifierFreeGuidance(guidance_scale=2.0)))


def test_it_is_saved_without_the_reward(tmp_path: Path) -> None:
    RewardGuidance(near_one, 0.1, 0.3, 0.9, guidance_scale=3.0).save_pretrained(tmp_path)
    again = RewardGuidance.from_pretrained(tmp_path, reward=near_one)
    assert (again.strength, again._share, again.guidance_scale) == (0.1, (0.3, 0.9), 3.0)


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="strength: expected a number of at least 0, got -1"):
        RewardGuidance(near_one, -1)
    with pytest.raises(ArgumentError, match="start: expected a share of the steps before stop"):
        RewardGuidance(near_one, start=0.5, stop=0.5)
    with pytest.raises(ArgumentError, match="reward: expected a function of latents"):
        RewardGuidance("overall")
    with pytest.raises(ArgumentError, match="pipeline: expected a modular pipeline, got one that passes no latents"):
        RewardGuidance(near_one).prepare_inputs({})
