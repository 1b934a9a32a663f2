"""Products, minimum, maximum, soft minimum, clipping, hinges: values, gradients, presence, and what they declare."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Reading, Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.rewards.algebra import Product
from avreward.rewards.base import Reward
from avreward.rewards.function_base import FUNCTIONS, Fitted, Function, register_function, state_hash, states_of
from avreward.rewards.functions import above, below, clamp, maximum, minimum, softmin

LEVELS = st.floats(0, 1, allow_subnormal=False)


def value(build: Callable[..., Reward], power: float, brightness: float, *rest: Any) -> float:
    toy = Toy()
    return build(toy["power"], toy["brightness"], *rest)([both(power, brightness)]).item()


@given(LEVELS, LEVELS, LEVELS)
def test_what_the_functions_compute(a: float, b: float, t: float) -> None:
    cases: list[tuple[Callable[..., Reward], float]] = [
        (lambda x, y: x * y, a * b),
        (lambda x, y: (x + 1) * (y - t) * x, (a + 1) * (b - t) * a),
        (lambda x, y: minimum(x, y, t), min(a, b, t)),
        (lambda x, y: maximum(x, y, t), max(a, b, t)),
        (lambda x, y: clamp(x, t / 2, t), min(max(a, t / 2), t)),
        (lambda x, y: clamp(x, low=t), max(a, t)),
        (lambda x, y: clamp(x, high=t), min(a, t)),
        (lambda x, y: above(x, t), -max(0.0, t - a)),
        (lambda x, y: below(x, t), -max(0.0, a - t)),
        (lambda x, y: 3 * above(x - y, 0.1) + 1, -3 * max(0.0, 0.1 - (a - b)) + 1),
    ]
    for build, wanted in cases:
        assert value(build, a, b) == pytest.approx(wanted, abs=1e-9)


@given(LEVELS, LEVELS, st.floats(0.01, 5))
def test_the_soft_minimum_lies_below_by_at_most_its_bias(a: float, b: float, temperature: float) -> None:
    got = value(lambda x, y: softmin(x, y, 1, temperature=temperature), a, b)
    least = min(a, b, 1)
    assert least - temperature * math.log(3) - 1e-9 <= got <= least + 1e-9
    formula = -temperature * math.log(sum(math.exp(-x / temperature) for x in (a, b, 1)))
    assert got == pytest.approx(formula, abs=1e-9)


def test_the_soft_minimum_of_equals_is_lower_by_all_of_its_bias() -> None:
    assert value(lambda x, y: softmin(x, y, temperature=0.5), 0.3, 0.3) == pytest.approx(0.3 - 0.5 * math.log(2))
    assert value(lambda x, y: softmin(1e4 * x, 1e4 * y, temperature=0.01), 0.3, 0.4) == pytest.approx(3000)


BUILDS: list[Callable[[Toy], Reward]] = [
    lambda toy: toy["power"] * toy["brightness"] * (toy["overall"] - 2),
    lambda toy: softmin(toy["power"], 2 * toy["brightness"], toy["overall"], temperature=0.3),
    lambda toy: minimum(toy["power"], 3 * toy["brightness"]) + maximum(toy["overall"], 0.1),
    lambda toy: clamp(3 * toy["power"] - toy["brightness"], -10, 10) * toy["peak"],
    lambda toy: above(toy["power"], 0.9) - 2 * below(toy["brightness"], 0.1),
]


@pytest.mark.parametrize("build", BUILDS)
def test_gradients(build: Callable[[Toy], Reward]) -> None:
    reward = build(Toy())
    assert reward.differentiable
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64).requires_grad_()
    audio = (torch.rand(1, 8, generator=generator, dtype=torch.float64) - 0.5).requires_grad_()

    def values(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return reward([Clip(video=video, fps=8.0, audio=audio, sample_rate=16000)])

    assert torch.autograd.gradcheck(values, (video, audio), fast_mode=True)


def gradient(build: Callable[[Reward, Reward], Reward], power: float, brightness: float) -> tuple[float, float]:
    """∂reward/∂power and ∂reward/∂brightness."""
    toy = Toy()
    scores = toy([both(power, brightness)])
    scores.values.requires_grad_()
    build(toy["power"], toy["brightness"]).combine({"toy": scores}).values.sum().backward()
    assert scores.values.grad is not None
    return scores.values.grad[0, 0].item(), scores.values.grad[0, 1].item()


def test_who_gets_the_gradient() -> None:
    assert gradient(minimum, 0.25, 0.75) == (1, 0)
    assert gradient(maximum, 0.25, 0.75) == (0, 1)
    assert gradient(minimum, 0.25, 0.25) == (0.5, 0.5)
    first, second = gradient(lambda x, y: softmin(x, y, temperature=0.5), 0.25, 0.75)
    assert first == pytest.approx(1 / (1 + math.exp(-1)))
    assert first + second == pytest.approx(1)
    assert gradient(lambda x, y: clamp(x, 0, 0.2) + clamp(y, 0, 1), 0.25, 0.75) == (0, 1)
    assert gradient(lambda x, y: above(x, 0.5) + above(y, 0.5), 0.25, 0.75) == (1, 0)
    assert gradient(lambda x, y: below(x, 0.5) + below(y, 0.5), 0.25, 0.75) == (0, -1)
    assert gradient(lambda x, y: x * y, 0.25, 0.75) == (0.75, 0.25)


def test_no_gradient_of_a_missing_score_gets_in() -> None:
    toy = Toy()
    loud = torch.full((1, 8), 0.5, requires_grad=True)
    clips = [Clip(audio=loud, sample_rate=16000, video=torch.rand(2, 3, 16, 16), fps=8.0), picture(0.5)]
    for build in BUILDS:
        loud.grad = None
        rewards = build(toy).evaluate(clips)
        assert rewards.present.tolist() == [True, False]
        assert rewards.values[1].isnan()
        assert rewards.reasons[1] is not None
        assert "toy.power" in rewards.reasons[1]
        rewards.values[rewards.present].sum().backward()
        assert loud.grad is not None
        assert loud.grad.isfinite().all()


def test_a_tree_reads_each_rater_once_and_declares_all() -> None:
    first, second, reading = Toy("first"), Toy("second"), Reading("reading")
    reward = minimum(first["power"] * second["power"], clamp(first["peak"], 0, 1)) + above(
        softmin(second["overall"], reading["faithful"], temperature=1) - first["power"], 0.5
    )
    assert [rater.name for rater in reward.raters] == ["first", "second", "reading"]
    assert [term.name for term in reward.terms] == [
        "first.power", "second.power", "first.peak", "second.overall", "reading.faithful",
    ]  # fmt: skip
    rewards = reward.evaluate([both(0.5, 0.25).with_prompt("a dog")])
    assert first.calls == second.calls == reading.calls == [1]
    assert list(rewards.terms) == [term.name for term in reward.terms]
    assert reward.needs == {"audio", "video", "prompt"}
    assert reward.prompt_anchored
    assert not reward.differentiable
    copy = pickle.loads(pickle.dumps(reward))
    assert copy == reward
    assert copy.fingerprint == reward.fingerprint
    assert (2 * reward).fingerprint != reward.fingerprint


def test_products_are_kept_flat() -> None:
    toy = Toy()
    a, b, c = toy["power"], toy["brightness"], toy["peak"]
    assert repr(2 * a * b / 4 * (c * -1)) == "-0.5*toy.power*toy.brightness*toy.peak"
    assert a * (b * c) == (a * b) * c
    assert isinstance(a * b, Product)
    assert a * b + 2 * (a * b) == 3 * (a * b)
    assert repr((a + 1) * b * 2) == "2*((toy.power + 1)*toy.brightness)"
    assert repr(-(a + 1) * b) == "(-toy.power - 1)*toy.brightness"
    assert repr(1 - (a + 1) * b) == "-((toy.power + 1)*toy.brightness) + 1"
    assert repr(minimum(a, b) * 2 - 1) == "2*min(toy.power, toy.brightness) - 1"
    with pytest.raises(ArgumentError, match="weight: expected a finite number"):
        (1e200 * a) * (1e200 * b)


def test_too_large_a_product_is_missing() -> None:
    toy = Toy()
    rewards = (1e200 * toy["power"] * (1e200 * toy["power"] + 1)).evaluate([sound(0.5), sound(0.0)])
    assert rewards.present.tolist() == [False, True]
    assert rewards.values[0].isnan()
    assert rewards.reasons[0] is not None
    assert "too large to be a finite number" in rewards.reasons[0]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda a: minimum(), "min: expected at least one reward, got no arguments"),
        (lambda a: minimum(1, 2), "min: expected at least one reward, got only numbers"),
        (lambda a: minimum(a, "2"), "min: expected a finite number, got '2'"),
        (lambda a: maximum(a, math.nan), "max: expected a finite number, got nan"),
        (lambda a: softmin(a, a, temperature=-1), "softmin temperature: expected a positive number, got -1"),
        (lambda a: softmin(a, temperature=math.inf), "softmin temperature: expected a finite number, got inf"),
        (lambda a: clamp(a), "clamp: expected low, high or both, got neither"),
        (lambda a: clamp(a, 2, 1), "clamp: expected a low that is at most high, got low 2 and high 1"),
        (lambda a: clamp(a, a), "clamp low: expected a finite number, got the reward toy.power"),
        (lambda a: above(a, a), "above threshold: expected a finite number, got the reward toy.power"),
        (lambda a: below(a, math.inf), "below threshold: expected a finite number, got inf"),
        (lambda a: above(1, 2), "above: expected at least one reward"),
    ],
)
def test_wrong_arguments(build: Callable[[Reward], Reward], says: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{says}"):
        build(Toy()["power"])


def test_two_raters_of_one_name_are_refused_everywhere() -> None:
    first, second = Toy(), Toy()
    second.fingerprint = "toy 2"
    for build in (minimum, lambda a, b: a * b, lambda a, b: clamp(a, 0, 1) + b):
        with pytest.raises(ArgumentError, match="raters: expected one rater named 'toy', got two different ones"):
            build(first["power"], second["power"])


class Scaled(Fitted):
    """A fitted function for the tests."""

    name = "scaled_for_tests"

    def apply(self, *values: torch.Tensor) -> torch.Tensor:
        return values[0] / self.fitted("std", values[0])


def test_fitted_functions_name_their_state() -> None:
    toy = Toy()
    reward = 2 * Scaled(toy["power"], {"std": torch.tensor(0.5)}) + Scaled(toy["peak"], {"std": torch.tensor(2.0)})
    assert reward([both(0.5, 0.25)]).item() == pytest.approx(2.0 + 0.5**0.5 / 2)
    states = states_of(minimum(reward, 3) * toy["power"])
    assert sorted(state["std"].item() for state in states.values()) == [0.5, 2.0]
    assert all(f"state={name}" in repr(reward) for name in states)
    assert Scaled(toy["power"], {"std": torch.tensor(0.5)}) == Scaled(toy["power"], {"std": torch.tensor(0.5)})
    assert Scaled(toy["power"], {"std": torch.tensor(0.5)}) != Scaled(toy["power"], {"std": torch.tensor(0.6)})


def test_the_hash_of_a_state_covers_all_of_it() -> None:
    state = {"a": torch.tensor([1.0, 2.0]), "b": torch.zeros(0)}
    assert len(state_hash(state)) == 8
    assert state_hash(state) == state_hash(dict(reversed(state.items())))
    others = [
        {"a": torch.tensor([1.0, 2.5]), "b": torch.zeros(0)},
        {"a": torch.tensor([[1.0, 2.0]]), "b": torch.zeros(0)},
        {"a": torch.tensor([1.0, 2.0]).double(), "b": torch.zeros(0)},
        {"c": torch.tensor([1.0, 2.0]), "b": torch.zeros(0)},
        {"a": torch.tensor([1.0, 2.0])},
    ]
    assert len({state_hash(s) for s in [state, *others]}) == 6


def test_a_name_stands_for_one_function() -> None:
    class Other(Function):
        name = "min"

        def apply(self, *values: torch.Tensor) -> torch.Tensor:
            return values[0]

    with pytest.raises(ArgumentError, match="name: expected a name that no other function has, got 'min'; choose"):
        register_function("min", Other)
    register_function("min", minimum)
    assert FUNCTIONS["min"].build is minimum
