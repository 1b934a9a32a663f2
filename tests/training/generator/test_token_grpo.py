"""Policy gradients on tokens: probabilities are those that tokens were drawn from, and the reward rises."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_musicgen import tiny_musicgen
from torch import Tensor

from avreward import Clip, term
from avreward.errors import ArgumentError
from avreward.generators import Condition, MusicgenTokens, TokenGenerator
from avreward.training import TokenGrpo, add_lora, load_tuning, save_tuning
from avreward.training.generator.lora import lora_state


@term(needs="audio", low=0, high=1, differentiable=False)
def loudness(clip: Clip) -> float:
    """The mean square."""
    return float(clip.audio.square().mean())


@term(needs="video", low=0, high=1)
def brightness(clip: Clip) -> Tensor:
    """The mean of all pixels."""
    return clip.video.mean()


DRUMS = Condition(arguments={"prompt": "slow drums"})


@pytest.fixture
def generator() -> MusicgenTokens:
    return MusicgenTokens(*tiny_musicgen(), frames=6)


def test_probabilities_are_those_that_the_model_drew_from(generator: MusicgenTokens) -> None:
    assert isinstance(generator, TokenGenerator)
    encoded, model = generator.encode(DRUMS), generator.model
    tokens = generator.sample(encoded, rows=3, seed=5)
    assert torch.equal(tokens, generator.sample(encoded, rows=3, seed=5))
    assert not torch.equal(tokens, generator.sample(encoded, rows=3, seed=6))
    with torch.no_grad():
        found = generator.log_probs(tokens, encoded).reshape(3, 2, 6)
        torch.manual_seed(5)
        own = model.generate(
            **{name: value.expand(3, -1) for name, value in encoded.items()}, do_sample=True, top_k=0,
            guidance_scale=1.0, max_new_tokens=7, output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
        scores = torch.stack(own.scores, 1).log_softmax(-1).reshape(3, 2, 7, -1)
    for book in range(2):
        expected = scores[:, book, book : book + 6].gather(-1, tokens[:, book, :, None])[..., 0]
        torch.testing.assert_close(found[:, book], expected, rtol=1e-4, atol=1e-4)
    clips = generator.decode(tokens, encoded)
    torch.testing.assert_close(torch.stack([clip.audio for clip in clips]), own.sequences, rtol=1e-4, atol=1e-5)


class Counting(MusicgenTokens):
    """The louder, the more of its tokens are 3; a random codec's audio hardly depends on its tokens."""

    def decode(self, tokens: Tensor, encoded: Any) -> list[Clip]:
        shares = (tokens == 3).float().mean((1, 2))
        return [Clip(audio=share.expand(1, 160), sample_rate=1600) for share in shares]


@pytest.mark.parametrize("baseline", ["group", "leave_one_out"])
def test_the_reward_rises(baseline: str) -> None:
    generator = Counting(*tiny_musicgen(), frames=6)
    add_lora(generator.network, rank=4, targets=["q_proj", "v_proj", "fc1", "fc2"])
    loop = TokenGrpo(generator, loudness["loudness"], group=12, baseline=baseline, learning_rate=2e-2, kl_weight=0.0)
    steps = [loop.update([DRUMS]) for _ in range(12)]
    means = [float(step.rewards.mean()) for step in steps]
    assert sum(means[-4:]) > sum(means[:4])
    assert steps[0].kl == pytest.approx(0.0, abs=1e-6)
    assert steps[-1].kl > 0
    assert steps[0].parts["clipped"] == 0


@term(needs="audio", low=0, high=1, differentiable=False)
def picky(clip: Clip) -> float:
    """NaN below a half."""
    share = float(clip.audio.mean())
    return share if share >= 0.5 else math.nan


@term(needs="audio", low=0, high=1, differentiable=False)
def never(clip: Clip) -> float:
    """NaN for all."""
    return math.nan


class Halves(MusicgenTokens):
    """The louder, the more of its tokens are of the first half."""

    def decode(self, tokens: Tensor, encoded: Any) -> list[Clip]:
        shares = (tokens < 8).float().mean((1, 2))
        return [Clip(audio=share.expand(1, 160), sample_rate=1600) for share in shares]


def counting() -> TokenGrpo:
    generator = Halves(*tiny_musicgen(), frames=6)
    add_lora(generator.network, rank=2, targets=["q_proj", "v_proj", "fc1", "fc2"])
    return TokenGrpo(generator, picky["picky"], group=6, learning_rate=2e-2, kl_weight=0.1)


def test_samples_without_a_reward_are_left_out_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    whole, stopped, again = counting(), counting(), counting()
    steps = [whole.update([DRUMS] * 2) for _ in range(3)]
    assert all(len(step.rewards) + len(step.missing) == step.clips == 12 for step in steps)
    assert 0 < sum(len(step.missing) for step in steps) < 36
    assert all(float(step.rewards.min()) >= 0.5 for step in steps if len(step.rewards))
    stopped.update([DRUMS] * 2)
    save_tuning(stopped, tmp_path / "run.pt")
    load_tuning(again, tmp_path / "run.pt")
    resumed = [again.update([DRUMS] * 2) for _ in range(2)]
    assert [step.loss for step in resumed] == [step.loss for step in steps[1:]]
    after = lora_state(again.generator.network)
    assert all(torch.equal(value, after[name]) for name, value in lora_state(whole.generator.network).items())
    again.reward = never["never"]
    none = again.update([DRUMS])
    assert (len(none.missing), len(none.rewards), none.loss, none.gradient_norm) == (6, 0, 0, 0)
    assert all(torch.equal(value, after[name]) for name, value in lora_state(again.generator.network).items())


def test_what_is_refused(generator: MusicgenTokens) -> None:
    with pytest.raises(ArgumentError, match="network: expected one with parameters to train"):
        TokenGrpo(generator, loudness["loudness"])
    with pytest.raises(ArgumentError, match="reward: expected terms that may move audio"):
        TokenGrpo(generator, brightness["brightness"])
    with pytest.raises(ArgumentError, match="baseline: expected"):
        TokenGrpo(generator, loudness["loudness"], baseline="none")
    with pytest.raises(ArgumentError, match="group: expected at least 2"):
        TokenGrpo(generator, loudness["loudness"], group=1)
    with pytest.raises(ArgumentError, match="condition: expected one with a prompt"):
        generator.encode(Condition())
    with pytest.raises(ArgumentError, match="frames: expected an integer of at least 2"):
        MusicgenTokens(generator.model, generator.tokenizer, frames=1)
