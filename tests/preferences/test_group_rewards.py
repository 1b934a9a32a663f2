"""What candidates are worth among each other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Toy, both, picture, sound

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.group import Group
from avreward.preferences.group_rewards import ALONE, Diversity, GroupReward, Standardized, Tournament, standardized
from avreward.preferences.models import BradleyTerry, Davidson
from avreward.preferences.preference import FromReward
from avreward.rewards.base import Reward
from avreward.rewards.per_prompt import PerPrompt
from avreward.rewards.results import MissingScore
from avreward.selection._best_of_n import select

LEVELS = [(0.1, 0.9), (0.5, 0.2), (0.3, 0.3), (0.2, 0.8)]


def clips(levels=LEVELS):
    return [both(power, brightness) for power, brightness in levels]


def tensors(levels):
    return torch.tensor(levels, dtype=torch.float64).T


def all_kinds(toy: Toy) -> list[GroupReward]:
    reward = 3 * toy["power"] - toy["brightness"]
    return [
        Standardized(reward),
        Standardized(reward, per_term=True),
        Diversity(reward),
        Tournament(FromReward(reward, Davidson(0.5, scale=0.3))),
    ]


KINDS = pytest.mark.parametrize("kind", range(4))


def trl(values: torch.Tensor) -> torch.Tensor:
    """The advantages of one group as TRL's GRPOTrainer computes them, with its own deviation."""
    utils = pytest.importorskip("trl.trainer.utils")
    return (values - torch.nanmean(values)) / (utils.nanstd(values) + 1e-4)


def test_standardized_is_what_trl_computes():
    toy = Toy()
    power, brightness = tensors(LEVELS)
    found = Standardized(3 * toy["power"] - toy["brightness"] + 2)(clips())
    assert torch.allclose(found, trl(3 * power - brightness + 2), atol=1e-6)


def test_per_term_is_normalize_then_sum():
    toy = Toy()
    power, brightness = tensors(LEVELS)
    found = Standardized(3 * toy["power"] - toy["brightness"] + 2, per_term=True)(clips())
    assert torch.allclose(found, 3 * trl(power) - trl(brightness), atol=1e-6)
    one = toy["power"]
    assert torch.equal(Standardized(one, per_term=True)(clips()), Standardized(one)(clips()))


class Doubtful(Toy):
    """A fifth of each score is its standard deviation."""

    def rate(self, samples, work=None):
        scores = super().rate(samples, work)
        return replace(scores, sigma=scores.values.abs() / 5)


@pytest.mark.parametrize("per_term", [False, True])
def test_sigma_is_in_the_unit_of_the_values(per_term):
    """Scaled by each part's spread; the parts' errors are independent, those of one term add up."""
    toy, group = Doubtful(), clips()
    both_of = 3 * toy["power"] - toy["power"] * toy["power"] + toy["brightness"]
    power, brightness = tensors(LEVELS)
    if per_term:
        slopes = 3 / (power.std() + 1e-4) - 2 * power / (power.square().std() + 1e-4), 1 / (brightness.std() + 1e-4)
    else:
        spread = (3 * power - power.square() + brightness).std() + 1e-4
        slopes = (3 - 2 * power) / spread, 1 / spread
    expected = ((slopes[0] * power / 5) ** 2 + (slopes[1] * brightness / 5) ** 2).sqrt()
    found = Standardized(both_of, per_term).evaluate(group)
    torch.testing.assert_close(found.sigma, expected, rtol=1e-6, atol=0)
    silent = Clip(video=group[0].video, fps=8.0)
    beside = Standardized(both_of, per_term).evaluate([*group, silent])
    assert beside.sigma[4].isnan()
    torch.testing.assert_close(beside.sigma[:4], expected, rtol=1e-6, atol=0)
    assert Standardized(both_of, per_term).evaluate([silent, group[0]]).sigma is None
    assert Standardized(Toy()["power"], per_term).evaluate(group).sigma is None


def test_per_term_knows_the_prompts():
    toy = Toy()
    weight = PerPrompt({"loud": 2.0})
    candidates = [clip.with_prompt("loud") for clip in clips()]
    found = Standardized(weight * toy["power"] + weight, per_term=True)(candidates)
    assert torch.allclose(found, trl(2 * tensors(LEVELS)[0]), atol=1e-6)  # what all have alike counts nothing


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_standardized_has_mean_zero_and_at_most_spread_one(values):
    found = standardized(torch.tensor(values, dtype=torch.float64))
    assert float(found.mean()) == pytest.approx(0, abs=1e-7)
    spread = torch.tensor(values, dtype=torch.float64).std()
    assert float(found.std()) == pytest.approx(float(spread / (spread + 1e-4)), rel=1e-6, abs=1e-9)


def test_equal_candidates_get_nothing_and_a_finite_gradient():
    values = torch.full((3,), 0.3, dtype=torch.float64, requires_grad=True)
    found = standardized(values)
    assert found.abs().max() < 1e-10
    found[0].backward()
    assert values.grad.tolist() == pytest.approx([2e4 / 3, -1e4 / 3, -1e4 / 3])


def test_a_tournament_by_hand():
    toy = Toy()
    power = tensors(LEVELS)[0]
    found = Tournament(FromReward(toy["power"], BradleyTerry(scale=0.2)))(clips())
    for i in range(4):
        wins = [torch.sigmoid((power[i] - power[j]) / 0.2) for j in range(4) if j != i]
        assert float(found[i]) == pytest.approx(float(sum(wins) / 3))
    assert toy.calls == [1] * 4  # each candidate is judged once, not once a pair
    with_ties = Tournament(FromReward(toy["power"], Davidson(3.0, scale=0.2)))(clips())
    assert float(with_ties.sum()) == pytest.approx(2)
    assert with_ties.std() < found.std()  # ties count half, so they pull together
    assert with_ties.argsort().tolist() == found.argsort().tolist()


def test_diversity_by_hand():
    toy = Toy()
    power, brightness = (standardized(column) for column in tensors(LEVELS))
    found = Diversity(0.01 * toy["power"] + 100 * toy["brightness"])(clips())
    for i in range(4):
        apart = [math.hypot(power[i] - power[j], brightness[i] - brightness[j]) for j in range(4) if j != i]
        assert float(found[i]) == pytest.approx(sum(apart) / 3 / math.sqrt(2), rel=1e-6)


def test_who_stands_out_is_the_most_diverse():
    found = Diversity(Toy()["power"])([both(level, 0.5) for level in (0.2, 0.21, 0.8, 0.22)])
    assert found.argmax() == 2


@KINDS
def test_the_order_makes_no_difference(kind):
    group = clips()
    plain = all_kinds(Toy())[kind](group)
    order = [2, 0, 3, 1]
    assert torch.allclose(all_kinds(Toy())[kind]([group[i] for i in order]), plain[order], atol=1e-12)
    assert plain.shape == (4,)
    assert plain.std() > 0.05


@KINDS
def test_a_group_is_its_candidates(kind):
    video = picture(0.5)
    dubs = [video.with_audio(sound(level)) for level in (0.1, 0.4, 0.2)]
    one = all_kinds(Toy())[kind]
    assert torch.equal(one(Group(video, dubs)), one(dubs))


@KINDS
def test_gradients_reach_every_candidate(kind):
    generator = torch.Generator().manual_seed(3)
    video = [torch.rand(2, 3, 16, 16, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]
    audio = [torch.rand(1, 8, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]

    def values(*tensors: torch.Tensor) -> torch.Tensor:
        group = [
            Clip(video=v, fps=8.0, audio=a, sample_rate=16000) for v, a in zip(tensors[:3], tensors[3:], strict=True)
        ]
        return all_kinds(Toy())[kind](group)

    assert torch.autograd.gradcheck(values, (*video, *audio), fast_mode=True)
    grads = torch.autograd.grad(values(*video, *audio)[0], (*video, *audio))
    assert all(grad.abs().max() > 0 for grad in grads)  # the others' tensors too


@KINDS
def test_doubles_have_finite_gradients(kind):
    audio = torch.full((1, 8), 0.5, dtype=torch.float64, requires_grad=True)
    group = [Clip(audio=audio * 1, sample_rate=16000, video=picture(0.5).video, fps=8.0) for _ in range(3)]
    found = all_kinds(Toy())[kind](group)
    assert float(found.detach().std()) == pytest.approx(0, abs=1e-6)
    found[0].backward()
    assert audio.grad.isfinite().all()


@KINDS
@pytest.mark.parametrize("count", [0, 1])
def test_one_candidate_is_an_error(kind, count):
    one = all_kinds(Toy())[kind]
    for call in (one, one.evaluate):
        with pytest.raises(ArgumentError, match=f"group: expected at least two candidates, got {count}"):
            call(clips()[:count])
    with pytest.raises(ArgumentError, match="group: expected a Group, or a list of clips, got a single Clip"):
        one(clips()[0])


@KINDS
def test_the_others_are_compared_without_those_that_are_missing(kind):
    group = clips()
    lame = [group[0], sound(0.5), group[1], picture(0.2), group[2]]
    one = all_kinds(Toy())[kind]
    found = one.evaluate(lame)
    assert found.present.tolist() == [True, False, True, False, True]
    assert torch.allclose(found.values[found.present], one(group[:3]), atol=1e-12)
    assert found.values[[1, 3]].isnan().all()
    assert "toy.brightness" in found.reasons[1]
    assert "toy.power" in found.reasons[3]
    with pytest.raises(MissingScore, match=r"2 of 5 .*\(clip 1\): toy.brightness.*\(clip 3\): toy.power"):
        one(lame)


@KINDS
def test_no_gradient_passes_a_missing_candidate(kind):
    audio = torch.full((1, 64), 0.4, dtype=torch.float64, requires_grad=True)
    lone = Clip(audio=audio, sample_rate=16000)
    heard = Clip(video=picture(0.3).video, fps=8.0, audio=audio, sample_rate=16000)
    found = all_kinds(Toy())[kind].evaluate([lone, heard, *clips()])
    found.values[found.present][1:].sum().backward()
    assert audio.grad.isfinite().all()


@KINDS
def test_the_only_one_left_has_nothing_to_be_compared_with(kind):
    found = all_kinds(Toy())[kind].evaluate([clips()[0], sound(0.5)])
    assert found.reasons[0] == ALONE
    assert "toy.brightness" in found.reasons[1]
    assert found.values.isnan().all()
    assert not found.present.any()
    found = all_kinds(Toy())[kind].evaluate([sound(0.4), sound(0.5)])
    assert all("toy.brightness" in why for why in found.reasons)


def test_what_the_values_were_made_of_goes_along():
    toy = Toy()
    found = Standardized(toy["overall"]).evaluate([both(0.1, 0.2), both(0.5, 0.6), sound(0.9)])
    assert found.terms["toy.overall"].tolist() == pytest.approx([0.15, 0.55, 0.9])
    assert found.basis == [("power", "brightness")] * 2 + [("power",)]
    assert set(found.scores) == {"toy"}
    texts = [Clip(prompt=name) for name in "abc"]
    assert select(texts, found).order == (
        1,
        0,
    )  # so that a selection can tell what isn't on the same scale


@KINDS
def test_a_group_reward_is_no_reward(kind):
    one = all_kinds(Toy())[kind]
    assert not isinstance(one, Reward)
    assert not hasattr(one, "fingerprint")  # nothing may store it
    assert "toy.power" in repr(one)
