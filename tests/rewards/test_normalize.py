"""Normalizers: what they compute, that they keep order, scale and gradients, and that they survive being saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from toy_raters import Reading, Toy, picture, sound

from avreward.errors import ArgumentError
from avreward.rewards.base import MissingScore, Term
from avreward.rewards.expression import parse_reward
from avreward.rewards.function_base import states_of
from avreward.rewards.io import load_reward
from avreward.rewards.normalize import ZScore, minmax, percentile, zscore

ALL = pytest.mark.parametrize("normalize", [zscore, minmax, percentile])
NUMBERS = st.lists(st.integers(-1000, 1000).map(lambda i: i / 8), min_size=2, max_size=20)
TERM = "toy.power"


def at(reward, values):
    """The reward where the one term has these values."""
    return reward.compute({TERM: torch.as_tensor(values, dtype=torch.float64)})


def fitted(normalize, reference):
    return normalize(Toy()["power"], reference)


def test_the_numbers_of_the_formulas():
    reference = [1.0, 2.0, 2.0, 5.0]
    assert at(fitted(zscore, reference), [2.5, 4.232050807568877]).tolist() == pytest.approx([0.0, 1.0])
    assert at(fitted(minmax, reference), [1.0, 2.0, 5.0, 9.0]).tolist() == pytest.approx([0.0, 0.25, 1.0, 2.0])
    # mid-ranks: 0.5/4, (1 + 1)/4, 3.5/4, and half-way between the last two
    assert at(fitted(percentile, reference), [1.0, 2.0, 5.0, 3.5]).tolist() == pytest.approx(
        [0.125, 0.5, 0.875, 0.6875]
    )


def test_the_rank_beyond_the_reference_fades_towards_the_ends():
    reference = [1.0, 2.0, 2.0, 5.0]
    std = np.std(reference, ddof=1)
    found = at(fitted(percentile, reference), [5 + std, 1 - std, 1e9, -1e9]).tolist()
    assert found == pytest.approx([1 - 0.125 * np.exp(-1), 0.125 * np.exp(-1), 1.0, 0.0])


def test_the_rank_is_the_share_of_the_reference_below():
    values = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert at(fitted(percentile, values), [0.25, 0.9]).tolist() == pytest.approx([0.25, 0.9], abs=0.03)


@ALL
@given(NUMBERS, NUMBERS)
def test_order_is_kept(normalize, reference, values):
    assume(len(set(reference)) > 1)
    low, high = min(reference), max(reference)
    values = sorted(low + (high - low) * (v / 1000 + 0.5) for v in values)  # also beyond the ends
    found = at(fitted(normalize, reference), values)
    assert (found.diff() >= -1e-12).all()
    apart = torch.tensor(values, dtype=torch.float64).diff() > 1e-6 * (high - low)
    assert (found.diff()[apart] > 0).all()


@ALL
@given(NUMBERS, NUMBERS, st.floats(0.01, 100), st.floats(-100, 100))
def test_the_scale_of_the_rater_makes_no_difference(normalize, reference, values, scale, shift):
    assume(len(set(reference)) > 1)
    moved = fitted(normalize, [scale * v + shift for v in reference])
    found = at(moved, [scale * v + shift for v in values])
    # relative: beyond a narrow reference a standard score is large
    torch.testing.assert_close(found, at(fitted(normalize, reference), values), rtol=1e-6, atol=1e-6)


@given(NUMBERS, NUMBERS)
def test_a_rank_is_a_share(reference, values):
    assume(len(set(reference)) > 1)
    found = at(fitted(percentile, reference), [*values, -1e308, 1e308])
    assert (found >= 0).all()
    assert (found <= 1).all()


@ALL
def test_gradients_are_those_of_finite_differences(normalize, check_gradient):
    reward = fitted(normalize, [0.0, 1.0, 1.0, 3.0, 7.0])
    points = torch.tensor([-20.0, -0.3, 0.4, 2.0, 5.0, 7.5, 30.0])
    check_gradient(lambda x: reward.compute({TERM: x}), points)
    x = points.clone().requires_grad_()
    reward.compute({TERM: x}).sum().backward()
    assert (x.grad > 0).all()


def test_references_that_are_close_together_stay_apart():
    reward = fitted(percentile, [2.0**24, 2.0**24 + 1, 2.0**24 + 2])  # in float32 the first two are one
    x = torch.tensor([2.0**24, 2.0**24 + 2], requires_grad=True)
    found = reward.compute({TERM: x})
    found.sum().backward()
    assert found.tolist() == pytest.approx([1 / 6, 5 / 6])
    assert x.grad.isfinite().all()


def test_far_beyond_the_reference_the_gradient_is_a_number():
    x = torch.tensor([-1e30, 1e30], requires_grad=True)
    fitted(percentile, [0.0, 1e-3]).compute({TERM: x}).sum().backward()
    assert x.grad.isfinite().all()


@ALL
def test_reference_clips_are_scored_by_the_reward(normalize):
    toy = Toy()
    clips = [sound(0.1), sound(0.2), sound(0.6)]
    from_clips, from_values = normalize(2 * toy["power"], clips), normalize(2 * toy["power"], [0.2, 0.4, 1.2])
    probe = [sound(0.15), sound(0.5)]
    torch.testing.assert_close(from_clips(probe), from_values(probe))
    assert sum(toy.calls) == 3 + 2 + 2


@ALL
def test_values_keep_their_type(normalize):
    reward = fitted(normalize, [1.0, 2.0, 4.0])
    assert reward.compute({TERM: torch.tensor([1.5])}).dtype == torch.float32


@ALL
def test_what_the_inner_reward_needs_passes_through(normalize):
    plain, reading = Toy()["power"], Reading("reading")["faithful"]
    both = normalize(plain + reading, [1.0, 2.0])
    assert both.needs == {"audio", "video", "prompt"}
    assert both.prompt_anchored
    assert not both.differentiable
    assert [term.name for term in both.terms] == ["toy.power", "reading.faithful"]
    assert normalize(plain, [1.0, 2.0]).differentiable


@ALL
def test_the_state_is_named_and_enters_the_fingerprint(normalize):
    first, second = fitted(normalize, [1.0, 2.0, 4.0]), fitted(normalize, [1.0, 2.0, 4.5])
    assert repr(first) == f"{normalize.__name__}(toy.power, state={first.state_hash})"
    assert first.fingerprint != second.fingerprint
    assert first == fitted(normalize, [2.0, 4.0, 1.0])


@ALL
def test_it_is_read_back_from_its_expression_and_state(normalize):
    toy = Toy()
    reward = 0.5 * normalize(toy["power"], [1.0, 2.0, 4.0]) + normalize(toy["power"] - toy["brightness"], [0.0, 1.0])
    again = parse_reward(repr(reward), {"toy": toy}, states_of(reward))
    assert again == reward
    columns = {TERM: torch.tensor([0.5, 3.0]), "toy.brightness": torch.tensor([0.1, 0.2])}
    assert torch.equal(again.compute(columns), reward.compute(columns))


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(ArgumentError, match="state: expected a state of zscore with mean, std, got high, low; fit"):
        ZScore(Toy()["power"], fitted(minmax, [1.0, 2.0]).state)


@ALL
@pytest.mark.parametrize("reference", [[2.0, 2.0, 2.0], torch.tensor([0.1, 0.1 + 1e-8, 0.1]), [0.0, 0.0]])
def test_constant_scores_are_an_error_that_says_so(normalize, reference):
    with pytest.raises(ArgumentError, match=rf"values of toy.power for {normalize.__name__}, got .* for all \d; pass"):
        fitted(normalize, reference)


@ALL
@pytest.mark.parametrize("reference", [[], [1.0], torch.tensor(1.0), torch.ones(2, 2)])
def test_a_reference_without_a_spread_is_an_error(normalize, reference):
    with pytest.raises(ArgumentError, match=r"reference: expected at least two clips or values .*, got shape"):
        fitted(normalize, reference)


def test_a_reference_value_that_is_no_number_is_an_error():
    with pytest.raises(ArgumentError, match=r"reference: expected finite values .*, got nan at index 1; leave"):
        fitted(zscore, [1.0, float("nan"), 3.0])


def test_a_reference_clip_without_a_score_is_named():
    with pytest.raises(MissingScore, match=r"\(clip 1\): toy.power"):
        fitted(zscore, [sound(0.1), picture(0.5)])


def test_a_single_clip_is_no_reference():
    with pytest.raises(ArgumentError, match="clips: expected a list of clips, got a single Clip"):
        fitted(zscore, sound(0.1))


def test_sigma_is_divided_by_the_spread():
    toy = Toy()
    scores = toy([sound(0.1), sound(0.2)])
    scores.sigma = torch.full_like(scores.values, 0.3)
    reward = zscore(Term(toy, "power"), [1.0, 2.0, 3.0, 4.0])
    sigma = reward.combine({"toy": scores}).sigma
    assert sigma.tolist() == pytest.approx([0.3 / np.std([1, 2, 3, 4], ddof=1)] * 2)


@ALL
def test_it_is_saved_in_a_folder_and_loaded(normalize, tmp_path):
    toy = Toy()
    reward = 2 * normalize(toy["power"], [1.0, 2.0, 4.0]) - toy["brightness"]
    assert load_reward(reward.save(tmp_path / "mine"), {"toy": toy}) == reward


@pytest.mark.parametrize("reference", [["s0.mp4", "s1.mp4"], [1, None, 2]])
def test_a_reference_of_other_things_is_told(reference):
    wrong = next(item for item in reference if not isinstance(item, int))
    told = f"reference: expected clips or numbers for zscore, got {wrong!r} at index {reference.index(wrong)}; pass"
    with pytest.raises(ArgumentError, match=told):
        zscore(Toy()["power"], reference)


def test_a_reference_that_is_not_a_sequence_is_refused():
    with pytest.raises(ArgumentError, match=r"^reference: expected clips or numbers for zscore, got None$"):
        zscore(Toy()["power"], None)


def test_a_reference_may_be_a_list_of_single_tensors():
    assert zscore(Toy()["power"], list(torch.tensor([1.0, 2.0, 4.0]))) == zscore(Toy()["power"], [1.0, 2.0, 4.0])
