"""Weights per prompt."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from toy_raters import Toy, both, picture

from avreward.errors import ArgumentError
from avreward.rewards.per_prompt import PerPrompt
from avreward.scoring.run import score_files


def shout(prompt: str) -> float:
    return float(len(prompt))


def asked(prompt: str | None):
    clip = both(0.5, 0.25)
    return clip if prompt is None else clip.with_prompt(prompt)


def test_the_prompt_decides_the_weight() -> None:
    toy = Toy()
    speech = PerPrompt({"hello": 2.0, "rain": 0})
    reward = speech * toy["power"] + toy["brightness"]
    rewards = reward.evaluate([asked("hello"), asked("rain"), asked("a dog's bark"), asked(None)])
    assert rewards.values[:2].tolist() == pytest.approx([1.25, 0.25])
    assert rewards.present.tolist() == [True, True, False, False]
    assert rewards.reasons[2] == f'{speech!r}: no weight for the prompt "a dog\'s bark"'
    assert rewards.reasons[3] == f"{speech!r}: no prompt was given"
    assert list(rewards.terms) == ["toy.power", "toy.brightness"]
    assert toy.calls == [1] * 4


def test_reasons_of_scores_and_of_prompts_stand_together() -> None:
    reward = PerPrompt({"hello": 2.0}) * Toy()["power"]
    [reason] = reward.evaluate([picture(0.5)]).reasons
    assert reason is not None
    assert "toy.power: " in reason
    assert "no prompt was given" in reason


def test_other_prompts() -> None:
    reward = PerPrompt({"hello": 2.0}, otherwise=-1) * Toy()["power"]
    rewards = reward.evaluate([asked("hello"), asked("rain"), asked(None)])
    assert rewards.values[:2].tolist() == pytest.approx([1.0, -0.5])
    assert rewards.present.tolist() == [True, True, False]


def test_a_function_of_the_prompt() -> None:
    reward = PerPrompt(shout) * Toy()["power"]
    assert reward([asked("hi"), asked("rain")]).tolist() == pytest.approx([1.0, 2.0])
    assert repr(reward) == f"per_prompt({__name__}.shout)*toy.power"
    assert pickle.loads(pickle.dumps(reward)) == reward
    with pytest.raises(ArgumentError, match="weight of '': expected a finite number, got inf"):
        PerPrompt(lambda_free)([asked("")])


def lambda_free(prompt: str) -> float:
    return math.inf


def test_gradients_and_types_are_those_of_the_scores() -> None:
    toy = Toy()
    scores = toy([both(0.5, 0.25)])
    scores.values = scores.values.float().requires_grad_()
    rewards = (PerPrompt({"x": 3.0}) * toy["power"]).combine({"toy": scores}, ["x"])
    assert rewards.values.dtype == torch.float32
    rewards.values.sum().backward()
    assert scores.values.grad is not None
    assert scores.values.grad[0, 0] == 3


def test_what_it_declares() -> None:
    toy = Toy()
    reward = PerPrompt({"x": 3.0}) * toy["power"]
    assert reward.needs == {"audio", "prompt"}
    assert not reward.prompt_anchored  # it reads the prompt, and compares no clip with it
    assert reward.differentiable
    assert toy["power"].needs == {"audio"}
    assert PerPrompt({"x": 3.0, "y": 1}) == PerPrompt({"y": 1.0, "x": 3})
    assert PerPrompt({"x": 3.0}) != PerPrompt({"x": 3.0}, otherwise=0)
    assert PerPrompt({"x": 3.0}) != PerPrompt({"x": 3.5})


def test_it_stands_alone_too() -> None:
    reward = PerPrompt({"x": 3.0}) + 1
    assert reward([asked("x"), asked("x")]).tolist() == [4.0, 4.0]
    assert reward.raters == ()


def test_combine_asks_for_prompts() -> None:
    toy = Toy()
    reward = PerPrompt({"x": 3.0}) * toy["power"]
    scores = {"toy": toy([both(0.5, 0.25)])}
    assert reward.combine(scores, ["x"]).values.item() == pytest.approx(1.5)
    with pytest.raises(ArgumentError, match=r"prompts: expected .*, got None; .*combine\(scores, prompts\)"):
        reward.combine(scores)
    with pytest.raises(ArgumentError, match="prompts: expected one prompt per clip, got 2 for 1 clips; pass None"):
        reward.combine(scores, ["x", "y"])


def test_files_and_streams_know_the_prompt() -> None:
    reward = PerPrompt({"hello": 2.0}) * Toy()["power"]
    first, second = score_files([asked("hello"), asked("rain")], reward)
    assert first.rewards is not None
    assert first.rewards.values.item() == pytest.approx(1.0)
    assert second.rewards is not None
    assert "no weight for the prompt 'rain'" in str(second.rewards.reasons[0])


def test_its_state_brings_it_back() -> None:
    for weights in (
        PerPrompt({"a \n": 0.1, "ü\ud800": -2}, otherwise=1 / 3),
        PerPrompt({"": 1e300}),
    ):
        again = PerPrompt.from_state(weights.state)
        assert again == weights
        assert (again.weights, again.otherwise) == (weights.weights, weights.otherwise)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (({},), "weights: expected at least one prompt with its number, got none"),
        (({"a": math.nan},), "weight of 'a': expected a finite number, got nan"),
        (({"a": 1.0}, math.inf), "otherwise: expected a finite number, got inf"),
        (({"a": "1"},), "weight of 'a': expected a finite number, got '1'"),
        (({"a": 1.0}, "1"), "otherwise: expected a finite number, got '1'"),
        ((shout, 1.0), "otherwise: expected None beside a function, got 1.0"),
        ((lambda prompt: 1.0,), "weights: expected .*, or a named function, got <function .*; define it"),
    ],
)
def test_what_can_be_no_weights(arguments: tuple, says: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{says}"):
        PerPrompt(*arguments)
