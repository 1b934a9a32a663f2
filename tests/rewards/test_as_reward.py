"""Whatever takes a reward takes an expression, too."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest
import torch
from toy_raters import Toy

from avreward import Clip, load_rater
from avreward.audit import ascend, gradient_snr, run_probes
from avreward.errors import ArgumentError
from avreward.integrations import FlowFactoryReward, trl_reward, trl_rewards
from avreward.preferences import FromReward, Standardized
from avreward.rewards import ExpressionError, LatentReward, as_reward, save_reward, zscore

PACKAGES = ("", "audit", "generators", "integrations", "preferences", "report", "rewards", "selection", "studies")
# The arithmetic of rewards, which an expression writes itself; and what asks something of a reward that there is.
OPERATIONS = {"above", "below", "clamp", "save_reward", "ignores_prompt"}
OTHERS = {"RewardGuidance", "ShownClip", "TuningSample"}  # a reward of latents; the reward that a clip has, a number


@pytest.fixture(scope="module")
def sounds() -> list[Clip]:
    draw = torch.Generator().manual_seed(0)
    return [Clip(audio=level * torch.randn(1, 8000, generator=draw), sample_rate=8000) for level in (0.02, 0.1, 0.2)]


def test_a_reward_is_itself_and_text_is_read(tmp_path) -> None:
    reward = 2 * load_rater("signals")["loudness"]
    assert as_reward(reward) is reward
    assert as_reward("2*loudness") == reward
    assert as_reward(save_reward(reward, tmp_path / "mine.yaml")) == reward
    with pytest.raises(ArgumentError, match=r"^held_out: expected a reward or an expression, got a Toy; choose a dim"):
        as_reward(Toy(), "held_out")
    with pytest.raises(ArgumentError, match=r"^reward: expected a reward or an expression, got a int$"):
        as_reward(3)
    with pytest.raises(ExpressionError, match=r"did you mean signals\.loudness"):
        as_reward("loudnes")


def test_every_public_function_that_takes_a_reward_says_that_it_takes_text() -> None:
    pytest.importorskip("transformers")
    odd = []
    for package in PACKAGES:
        module = import_module(f"avreward.{package}".rstrip("."))
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and issubclass(value, Exception):
                continue
            ours = callable(value) and getattr(value, "__module__", "").startswith("avreward")
            taken = (
                inspect.signature(value).parameters.get("reward") if ours and name not in OPERATIONS | OTHERS else None
            )
            if taken is not None and "RewardLike" not in str(taken.annotation) and "str" not in str(taken.annotation):
                odd.append(f"{value.__module__}.{name}: {taken.annotation}")
    assert not odd


def test_they_do_the_same_with_it(sounds) -> None:
    text, reward = "loudness", load_rater("signals")["loudness"]
    assert gradient_snr(text, sounds[0], draws=2) == gradient_snr(reward, sounds[0], draws=2)
    assert ascend(text, sounds[0], held_out="clipping", steps=1) == ascend(
        reward, sounds[0], held_out=load_rater("signals")["clipping"], steps=1
    )
    assert run_probes(text, sounds, probes=[]).real.values == run_probes(reward, sounds, probes=[]).real.values
    assert torch.equal(Standardized(text)(sounds), Standardized(reward)(sounds))
    assert FromReward(text).reward == reward
    assert zscore(text, [1.0, 2.0, 3.0]) == zscore(reward, [1.0, 2.0, 3.0])
    assert FlowFactoryReward(text).required_fields == ("prompt", "audio", "audio_sample_rate")
    for function in (trl_reward(text), trl_rewards(f"2*{text}")[0][0]):
        assert repr(function)
    assert trl_rewards(f"2*{text} - clipping")[1] == [2.0, -1.0]


def test_latents_too() -> None:
    pytest.importorskip("diffusers")
    from tiny_pipelines import tiny_stable_audio

    assert LatentReward(tiny_stable_audio(), "loudness").reward == load_rater("signals")["loudness"]
