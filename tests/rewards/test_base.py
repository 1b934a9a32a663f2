"""Rewards: values, missing scores, gradients, algebra."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Reading, Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.base import Sample
from avreward.raters.scores import Scores
from avreward.rewards.base import MissingScore, Reward, Rewards, Term

WEIGHTS = st.floats(-1e6, 1e6, allow_nan=False)


def test_a_term_is_the_score() -> None:
    toy = Toy()
    assert toy["power"]([sound(0.5), sound(0.25)]).tolist() == pytest.approx([0.5, 0.25])


def test_the_arithmetic() -> None:
    toy = Toy()
    a, b = toy["power"], toy["brightness"]
    reward = 0.5 + 2 * a - b / 4 + a * 3 - 1 + (-b) + (1 - a)
    assert reward([both(0.5, 0.25)]).item() == pytest.approx(0.5 + 1.0 - 0.0625 + 1.5 - 1 - 0.25 + 0.5)
    assert repr(reward) == "4*toy.power - 1.25*toy.brightness + 0.5"
    assert sum([a, b]) == a + b
    assert +a is a


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda a, b: 0.4 * a + 0.6 * b, "0.4*toy.power + 0.6*toy.brightness"),
        (lambda a, b: a, "toy.power"),
        (lambda a, b: -a, "-toy.power"),
        (lambda a, b: b - a - 1, "toy.brightness - toy.power - 1"),
        (lambda a, b: -2.5 * b + 1e-07 * a, "-2.5*toy.brightness + 1e-07*toy.power"),
        (lambda a, b: a - a, "0*toy.power"),
        (lambda a, b: -(a - a), "0*toy.power"),
        (lambda a, b: np.float64(0.5) * a + np.float32(2), "0.5*toy.power + 2"),
    ],
)
def test_the_expression_is_shown(build: Any, text: str) -> None:
    toy = Toy()
    assert repr(build(toy["power"], toy["brightness"])) == text


@given(WEIGHTS, WEIGHTS, WEIGHTS, WEIGHTS)
def test_a_reward_is_linear_in_its_scores(first: float, second: float, scale: float, shift: float) -> None:
    toy = Toy()
    a, b = toy["power"], toy["brightness"]
    scores = {"toy": toy([both(0.5, 0.25), both(0.0, 1.0)])}
    value = (scale * (first * a - b * second) + shift).combine(scores).values
    plain = scale * (first * scores["toy"]["power"] - second * scores["toy"]["brightness"]) + shift
    assert torch.allclose(
        value, plain, rtol=1e-9, atol=1e-9 * (1 + abs(scale) * (abs(first) + abs(second)) + abs(shift))
    )


def test_gradients_pass_through_the_algebra() -> None:
    toy = Toy()
    reward = 0.4 * toy["power"] - toy["brightness"] / 3 + 2 * toy["overall"] - 1
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64).requires_grad_()
    audio = torch.rand(1, 8, generator=generator, dtype=torch.float64).requires_grad_()

    def value(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return reward([Clip(video=video, fps=8.0, audio=audio, sample_rate=16000)])

    assert torch.autograd.gradcheck(value, (video, audio), fast_mode=True)


def test_no_gradient_passes_a_missing_reward() -> None:
    toy = Toy()
    loud = torch.full((1, 8), 0.5, requires_grad=True)
    lone = torch.full((1, 8), 0.5, requires_grad=True)
    clips = [
        Clip(audio=loud, sample_rate=16000, video=torch.rand(2, 3, 16, 16), fps=8.0),
        Clip(audio=lone, sample_rate=16000),
    ]
    rewards = (toy["power"] + 0 * toy["brightness"]).evaluate(clips)
    assert rewards.present.tolist() == [True, False]
    assert rewards.values[1].isnan()
    rewards.values[rewards.present].sum().backward()
    assert loud.grad is not None
    assert torch.allclose(loud.grad, torch.full_like(loud, 2 * 0.5 / 8))
    assert lone.grad is None or not lone.grad.any()


def test_a_missing_score_is_an_error_that_names_the_clip_and_the_reason() -> None:
    toy = Toy()
    reward = toy["power"] + toy["brightness"]
    clips = [both(0.5, 0.5), picture(0.5), sound(0.5)]
    with pytest.raises(MissingScore) as caught:
        reward(clips)
    text = str(caught.value)
    assert isinstance(caught.value, AvrewardError)
    assert "2 of 3" in text
    assert f"{clips[1].name} (clip 1): toy.power: {clips[1].missing['audio']}" in text
    assert f"(clip 2): toy.brightness: {clips[2].missing['video']}" in text
    assert "\n" not in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_a_long_list_of_missing_clips_is_counted() -> None:
    with pytest.raises(MissingScore, match=r"9 of 9 .* and 4 more"):
        Toy()["power"]([picture(0.5)] * 9)


def test_evaluate_tells_the_whole_story() -> None:
    toy = Toy()
    rewards = (2 * toy["power"] - toy["brightness"]).evaluate([both(0.5, 0.25), picture(0.75)])
    assert rewards.present.tolist() == [True, False]
    assert rewards.values[0].item() == pytest.approx(0.75)
    assert rewards.reasons[0] is None
    assert rewards.reasons[1] is not None
    assert rewards.reasons[1].startswith("toy.power: ")
    assert list(rewards.terms) == ["toy.power", "toy.brightness"]
    assert rewards.terms["toy.brightness"].tolist() == [0.25, 0.75]
    assert rewards.terms["toy.power"][1].isnan()
    assert rewards.scores["toy"].names == ("power", "brightness", "overall", "peak")
    assert rewards.sigma is None
    assert len(rewards) == 2


def test_terms_missing_for_one_reason_are_named_together() -> None:
    toy = Toy()
    reason = (toy["power"] + toy["peak"]).evaluate([picture(0.5)]).reasons[0]
    assert reason is not None
    assert reason.startswith("toy.power, toy.peak: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_missing(value: float) -> None:
    class Broken(Toy):
        def row(self, sample: Sample) -> Any:
            return {d.name: torch.tensor(value) for d in self.dimensions}, {}, {}

    rewards = Broken()["power"].evaluate([sound(0.5)])
    assert rewards.present.tolist() == [False]
    assert rewards.values.isnan().all()
    assert rewards.reasons == [f"toy.power: the score is {value}, not a finite number"]


def test_no_clips_no_rewards() -> None:
    toy = Toy()
    assert (toy["power"] + 1)([]).shape == (0,)
    assert len(toy["power"].evaluate([])) == 0


def test_each_rater_sees_each_clip_once() -> None:
    first, second = Toy("first"), Toy("second")
    reward = first["power"] + first["overall"] - second["power"] + 3 * first["peak"]
    assert reward.raters == (first, second)
    reward([sound(0.5), sound(0.25)])
    assert first.calls == second.calls == [1, 1]


def test_two_raters_under_one_name_are_refused() -> None:
    first, second = Toy(), Toy()
    second.fingerprint = "toy 2"
    with pytest.raises(ValueError, match=r"one rater named 'toy', got two different ones; set .*\.name"):
        first["power"] + second["power"]
    again = Toy()  # the same settings: the same rater
    assert (first["power"] + again["power"]).raters == (first,)


def test_combine_reads_scores_that_are_there_already() -> None:
    first, second = Toy("first"), Toy("second")
    reward = first["power"] - 0.5 * second["overall"]
    clips = [both(0.5, 0.25), sound(1.0)]
    scores = {"second": second(clips), "first": first(clips), "other": first(clips)}
    assert torch.equal(reward.combine(scores).values, reward(clips))
    assert list(reward.combine(scores).scores) == ["first", "second"]
    with pytest.raises(ArgumentError, match=r"scores: expected scores by second, got those of first; pass"):
        reward.combine({"first": scores["first"]})


def test_basis_says_what_a_fused_score_is_made_of() -> None:
    first, second = Toy("first"), Toy("second")
    clips = [both(0.5, 0.5), sound(0.5)]
    assert first["overall"].evaluate(clips).basis == [("power", "brightness"), ("power",)]
    assert first["power"].evaluate(clips).basis == [(), ()]
    mixed = (first["overall"] + second["overall"]).evaluate(clips).basis
    assert mixed[1] == ("first.power", "second.power")


def test_what_a_reward_declares() -> None:
    toy, reading = Toy(), Reading("reading")
    reward = toy["power"] + reading["faithful"]
    assert reward.needs == {"audio", "video", "prompt"}
    assert reward.prompt_anchored
    assert not reward.differentiable
    assert not (toy["power"] + reading["power"]).prompt_anchored  # the rater reads the prompt, this score does not
    assert toy["power"].differentiable


def test_the_fingerprint_names_expression_and_raters() -> None:
    toy, other = Toy(), Toy()
    other.fingerprint = "toy 2"
    reward = 0.5 * toy["power"]
    assert reward == 0.5 * toy["power"]
    assert hash(reward) == hash(0.5 * toy["power"])
    assert reward != 0.5 * other["power"]
    assert reward != 0.25 * toy["power"]
    assert reward != "0.5*toy.power"
    assert len(reward.fingerprint) == 32


def test_rewards_travel() -> None:
    toy = Toy()
    reward = 0.5 * toy["power"] + 1
    copy = pickle.loads(pickle.dumps(reward))
    assert copy == reward
    assert torch.equal(copy([sound(0.5)]), reward([sound(0.5)]))


def test_rewards_concatenate() -> None:
    reward = Toy()["overall"]
    clips = [both(0.5, 0.25), sound(0.5), picture(0.125)]
    whole = reward.evaluate(clips)
    joined = Rewards.concatenate([reward.evaluate(clips[:1]), reward.evaluate(clips[1:])])
    assert torch.equal(joined.values, whole.values)
    assert joined.basis == whole.basis
    assert joined.reasons == whole.reasons
    assert torch.equal(joined.terms["toy.overall"], whole.terms["toy.overall"])
    with pytest.raises(ArgumentError, match="parts: expected at least one Rewards, got none"):
        Rewards.concatenate([])


@pytest.mark.parametrize("other", ["half", None, [1.0]])
def test_only_rewards_and_numbers_mix(other: Any) -> None:
    reward = Toy()["power"]
    for operation in ("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__"):
        assert getattr(reward, operation)(other) is NotImplemented


def test_what_is_no_reward_is_refused() -> None:
    toy = Toy()
    with pytest.raises(TypeError):
        1 / toy["power"]  # type: ignore[operator]
    with pytest.raises(ArgumentError, match="divisor of a reward: expected a number other than 0, got 0"):
        toy["power"] / 0
    with pytest.raises(ArgumentError, match=r"weight: expected a finite number .*, got nan"):
        float("nan") * toy["power"]
    with pytest.raises(ArgumentError, match=r"dimension of toy: expected one of power, .*did you mean 'power'"):
        Term(toy, "powr")


def test_scores_of_several_types_and_a_custom_reward() -> None:
    """The base class asks for three things only; a later, non-linear reward takes part in sums as it is."""

    class Least(Reward):
        def __init__(self, *parts: Reward) -> None:
            self.parts = parts

        @property
        def terms(self) -> tuple[Term, ...]:
            return tuple(term for part in self.parts for term in part.terms)

        def compute(self, columns: Any) -> torch.Tensor:
            return torch.stack([part.compute(columns) for part in self.parts]).amin(0)

        def __repr__(self) -> str:
            return f"least({', '.join(map(repr, self.parts))})"

    toy = Toy()
    reward = 2 * Least(toy["power"], toy["brightness"]) + toy["power"]
    assert reward([both(0.5, 0.25)]).item() == pytest.approx(1.0)
    assert repr(reward) == "2*least(toy.power, toy.brightness) + toy.power"
    assert isinstance(reward.evaluate([both(0.5, 0.25)]).scores["toy"], Scores)


def test_a_rater_in_arithmetic_names_a_dimension() -> None:
    toy = Toy()
    for attempt in (
        lambda: 0.5 * toy,  # type: ignore[operator]
        lambda: toy * 0.5,
        lambda: toy + toy["power"],
        lambda: toy["power"] - toy,
        lambda: toy["power"] * toy,
        lambda: toy / 2,
    ):
        with pytest.raises(ArgumentError) as caught:
            attempt()
        expected = "arithmetic: expected rewards and numbers, got the rater toy; choose a dimension, such as rater["
        assert str(caught.value).startswith(expected)
