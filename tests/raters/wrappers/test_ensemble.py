"""Ensembles: what they make of the members' scores, what is missing and why, gradients, and work done once."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_backbone import toy_rater
from toy_raters import Reading, Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.raters.agav.rater import AgavRater
from avreward.raters.base import Sample, Work
from avreward.raters.hub import load_rater
from avreward.raters.scores import Dimension, Scores
from avreward.raters.wrappers._calibrated import calibrated
from avreward.raters.wrappers.calibration_curves import Linear
from avreward.raters.wrappers.ensemble import EnsembleRater
from avreward.scoring.run import score_files

NUMBERS = st.lists(st.floats(-100, 100), min_size=2, max_size=6)
VALUES = pytest.mark.parametrize("value", ["mean", "lower", "worst"])


class Scaled(Toy):
    """Toy, times a factor; in a range that holds them all."""

    dimensions = tuple(replace(d, high=10) for d in Toy.dimensions)

    def __init__(self, factor, name="scaled", **options):
        super().__init__(f"{name}{factor}", **options)
        self.factor = factor

    def rate(self, samples, work=None):
        scores = super().rate(samples, work)
        return replace(scores, values=self.factor * scores.values)


class Lowest(Scaled):
    """Where less is better."""

    dimensions = (Dimension("power", 0, 10, frozenset({"audio"}), higher_is_better=False),)


class Open(Scaled):
    """One dimension of which neither end is better."""

    dimensions = (replace(Toy.dimensions[0], higher_is_better=None, high=10), replace(Toy.dimensions[1], high=10))


def members(*factors, kind=Scaled, **options):
    return [kind(factor, **options) for factor in factors]


def test_mean_spread_bound_and_worst():
    three = members(1.0, 2.0, 6.0)
    mean, spread = 3.0 * 0.5, 0.5 * 7.0**0.5
    for value, expected in (("mean", mean), ("lower", mean - 2 * spread), ("worst", 0.5)):
        found = EnsembleRater(three, value, k=2.0)([sound(0.5), sound(0.0)])
        assert found["power"].tolist() == pytest.approx([expected, 0.0])
        assert found.sigma[:, found.column("power")].tolist() == pytest.approx([spread, 0.0])
        assert found.names == tuple(d.name for d in Toy.dimensions)


def test_where_lower_is_better_doubt_raises_the_score():
    three = members(1.0, 2.0, 6.0, kind=Lowest)
    spread = 0.5 * 7.0**0.5
    assert EnsembleRater(three, "lower")["power"]([sound(0.5)]).item() == pytest.approx(1.5 + spread)
    assert EnsembleRater(three, "worst")["power"]([sound(0.5)]).item() == pytest.approx(3.0)


def test_where_neither_end_is_better_there_is_only_a_mean():
    pair = members(1.0, 2.0, kind=Open)
    assert EnsembleRater(pair)["power"]([sound(0.5)]).item() == pytest.approx(0.75)
    for value in ("lower", "worst"):
        with pytest.raises(ArgumentError, match=f"value: expected 'mean' for dim.*, got '{value}' with power; leave"):
            EnsembleRater(pair, value)
        assert [d.name for d in EnsembleRater(pair, value, dimensions=["brightness"]).dimensions] == ["brightness"]


@VALUES
@given(NUMBERS, st.floats(0.1, 10), st.floats(-50, 50), st.randoms())
def test_scale_shift_and_the_order_of_members(value, numbers, scale, shift, random):
    rater = EnsembleRater(members(*range(len(numbers))), value, k=1.5)

    def of(values):
        one = [torch.tensor([[v] * 4], dtype=torch.float64) for v in values]
        return rater.combined([Scores(v, ~v.isnan(), [{}], rater.dimensions) for v in one])

    plain, moved = of(numbers), of([scale * v + shift for v in numbers])
    torch.testing.assert_close(moved.values, scale * plain.values + shift)
    torch.testing.assert_close(moved.sigma, scale * plain.sigma)
    torch.testing.assert_close(of(random.sample(numbers, len(numbers))).values, plain.values)
    if value != "mean":
        assert (plain.values <= of(numbers).values.new_tensor(sum(numbers) / len(numbers)) + 1e-9).all()


@VALUES
def test_gradients_are_those_of_finite_differences(value, check_gradient):
    rater = EnsembleRater(members(1.0, 2.0, 6.0), value)
    wave = torch.linspace(-0.9, 0.8, 12)[None]
    check_gradient(lambda x: rater([Clip(audio=x, sample_rate=16000)]).values[0, [0, 3]], wave)
    check_gradient(lambda x: rater([Clip(audio=x, sample_rate=16000)]).sigma[0, [0, 3]], wave)


@VALUES
def test_members_that_agree_have_gradients_that_are_numbers(value):
    wave = torch.full((1, 8), 0.5, requires_grad=True)
    found = EnsembleRater([Toy("a"), Toy("b")], value)([Clip(audio=wave, sample_rate=16000)])
    (found["power"].sum() + found.sigma[0, 0]).backward()
    torch.testing.assert_close(wave.grad, torch.full((1, 8), 2 * 0.5 / 8))


class Choosy(Toy):
    """Judges no quiet sound."""

    def row(self, sample):
        values, reasons, basis = super().row(sample)
        if values.get("power", torch.tensor(1.0)) < 0.3:
            del values["power"]
            reasons["power"] = "too quiet"
        return values, reasons, basis


@VALUES
def test_what_one_member_lacks_is_missing_with_the_reason_and_spoils_no_gradient(value):
    wave = torch.full((1, 8), 0.5, dtype=torch.float64, requires_grad=True)  # power 0.25
    rater = EnsembleRater([Choosy("choosy"), Toy("toy")], value)
    found = rater([Clip(audio=wave, sample_rate=16000), picture(0.5), sound(0.5)])
    assert found.present[:, 0].tolist() == [False, False, True]
    assert found["power"][:2].isnan().all()
    assert found.sigma[:2, 0].isnan().all()
    assert found.reasons[0]["power"] == "choosy: too quiet"
    assert found.reasons[1]["power"] == Toy()([picture(0.5)]).reasons[0]["power"]  # all lack it, for one reason
    (found.values[found.present].sum() + found.sigma[found.present].sum()).backward()
    assert wave.grad.isfinite().all()
    rewards = (2 * rater["power"]).evaluate([both(0.5, 0.5), sound(0.1)])
    assert rewards.present.tolist() == [True, False]
    assert rewards.sigma[0] == 0


def test_sigma_reaches_the_reward():
    rater = EnsembleRater(members(1.0, 3.0))
    rewards = (2 * rater["power"] - 1).evaluate([sound(0.5)])
    assert rewards.sigma.item() == pytest.approx(2 * 0.5 * 2.0**0.5)


def test_dimensions_are_those_that_all_have():
    rater = EnsembleRater([Toy("a"), Reading("b")])
    assert [d.name for d in rater.dimensions] == ["power"]
    assert rater.prompt_anchored
    assert not rater.differentiable
    assert rater.per_clip
    assert not EnsembleRater([Toy("a"), Toy("b", per_clip=False)]).per_clip
    needy = Toy("needy")
    needy.dimensions = (replace(Toy.dimensions[0], needs=frozenset({"audio", "prompt"})),)
    assert EnsembleRater([Toy(), needy]).dimension("power").needs == {"audio", "prompt"}


def test_what_is_no_ensemble_is_an_error():
    with pytest.raises(ArgumentError, match="raters: expected at least two raters, got 1"):
        EnsembleRater([Toy()])
    with pytest.raises(ArgumentError, match="value: expected one of mean, lower, worst, got 'median'"):
        EnsembleRater([Toy(), Toy("b")], "median")
    for k in (-1.0, float("nan")):
        with pytest.raises(ArgumentError, match="k: expected a finite number of at least 0, such as 1, got"):
            EnsembleRater([Toy(), Toy("b")], "lower", k)
    with pytest.raises(ArgumentError, match=r"raters: expected .* a common dimension, got toy: power, .*; signals: "):
        EnsembleRater([Toy(), _only(load_rater("signals"), "clipping")])
    with pytest.raises(ArgumentError, match=r"dimensions: expected one of power, bright.*, got 'loud'; not all"):
        EnsembleRater([Toy(), Toy("b")], dimensions=["loud"])
    with pytest.raises(
        ArgumentError, match="high of power: expected the same in all raters, got 1 for toy and 10 for scaled2; cal"
    ):
        EnsembleRater([Toy(), Scaled(2)])


def _only(rater, name):
    rater.dimensions = (rater.dimension(name),)
    return rater


def test_raters_of_other_ranges_are_calibrated_first():
    on_scale = [calibrated(Toy("a"), {"power": Linear(4.0, 1.0, 1.0, 5.0)}),
                calibrated(Scaled(10), {"power": Linear(0.4, 1.0, 1.0, 5.0)})]  # fmt: skip
    rater = EnsembleRater(on_scale, dimensions=["power"])
    assert rater.dimension("power").calibrated
    found = rater([sound(0.5)])
    assert found["power"].item() == pytest.approx(3.0)
    assert found.levels("power") == ["fair"]


def test_the_fingerprint_names_members_and_value():
    a, b, c = Toy("a"), Toy("b"), Toy("c")
    raters = [
        EnsembleRater([a, b]), EnsembleRater([a, c]), EnsembleRater([a, b], "worst"), EnsembleRater([a, b], "lower"),
        EnsembleRater([a, b], "lower", 2.0), EnsembleRater([a, b], dimensions=["power"]),
    ]  # fmt: skip
    assert len({rater.fingerprint for rater in raters}) == 6
    assert EnsembleRater([a, b], k=3.0).fingerprint == raters[0].fingerprint  # a mean has no k
    assert raters[3].settings["value"] == "lower, k = 1"


def test_no_member_is_there_twice():
    one, again = Toy("one"), Toy("again")
    with pytest.raises(ArgumentError, match="raters: expected different raters, got one twice; pass each once"):
        EnsembleRater([one, again, one])
    one.source, again.source = {"rater": "signals"}, {"rater": "signals"}
    with pytest.raises(ArgumentError, match="got again twice"):
        EnsembleRater([one, again])
    again.source = {"rater": "signals", "adapter": "./lora"}
    assert len(EnsembleRater([one, again]).raters) == 2


def test_no_dimension_is_nothing_to_judge():
    with pytest.raises(ArgumentError, match=r"dimensions: expected at least one name, got \[\]; leave it out"):
        EnsembleRater([Toy("a"), Toy("b")], dimensions=[])


def test_each_member_decodes_in_its_own_way_and_equal_ones_together():
    one, other = Toy("one"), Toy("other")
    silent = picture(0.25)
    EnsembleRater([one, copy(one), other])([silent.with_audio(sound(level)) for level in (0.1, 0.2, 0.3)])
    for rater in (one, other):
        assert [track for track, _ in rater.loads].count("video") == 1
        assert [track for track, _ in rater.loads].count("audio") == 3


def test_members_that_decode_alike_but_look_at_other_tracks_have_samples_of_their_own():
    class Ear(Toy):
        tracks = ("audio",)
        decoding = "alike"

    class Seeing(Toy):
        decoding = "alike"

    clips = [both(0.5, 0.25), both(0.1, 0.75)]
    for raters in ([Ear("ear"), Seeing("seeing")], [Seeing("seeing"), Ear("ear")]):
        rater = EnsembleRater(raters)
        found = rater(clips)
        each = torch.stack([alone(clips).values for alone in raters])
        torch.testing.assert_close(found["power"], each[:, :, 0].mean(0))
        assert found.present[:, 0].all()
        assert not found.present[:, 1].any()  # the ear has no brightness
        assert "ear: " in found.reasons[0]["brightness"]
        sample = rater.load(clips[0])
        assert sorted(len(own.tracks) for own in sample.members.values()) == [1, 2]


def test_a_broken_track_costs_the_clip_and_nothing_else():
    class Broken(Toy):
        def load_track(self, clip, track):
            raise MediaError("a.mp4", "is cut off", "copy it again")

    found = EnsembleRater([Toy(), Broken("broken")])([both(0.5, 0.5)])
    assert not found.present.any()
    assert found.reasons[0]["power"] == "a.mp4: is cut off; copy it again"


def test_through_files_it_is_the_same():
    clips = [both(0.5, 0.25), picture(0.5), both(0.1, 0.75)]
    for per_clip in (True, False):
        rater = EnsembleRater(members(1.0, 2.0, per_clip=per_clip), "lower")
        direct = rater(clips)
        streamed = Scores.concatenate([s.scores["ensemble"] for s in score_files(clips, rater)])
        torch.testing.assert_close(streamed.values, direct.values, equal_nan=True)
        torch.testing.assert_close(streamed.sigma, direct.sigma, equal_nan=True)
        assert streamed.reasons == direct.reasons


def test_a_sample_of_another_rater_is_refused():
    rater = EnsembleRater([Toy("a"), Toy("b")])
    assert len(rater([])) == 0
    with pytest.raises(ArgumentError, match="samples: expected samples made by this rater's load"):
        rater.rate([Sample(sound(0.5), {}, {})], Work())


def test_ensembles_are_members_too():
    inner = EnsembleRater(members(1.0, 3.0), name="inner")
    found = EnsembleRater([inner, Scaled(5.0)])([both(0.5, 0.25)])
    assert found["power"].item() == pytest.approx((1.0 + 2.5) / 2)


def test_checkpoints_are_members_with_a_network_each():
    from lmm_checks import film

    raters = [toy_rater(seed) for seed in range(3)]
    rater = EnsembleRater(raters)
    assert not any(p.requires_grad for p in rater.module.parameters())
    clips = [film(prompt="x"), film(seed=3)]
    each = torch.stack([r(clips).values for r in raters])
    found = rater(clips)
    torch.testing.assert_close(found.values, each.mean(0), equal_nan=True)
    torch.testing.assert_close(found.sigma, each.std(0), equal_nan=True)


def test_a_member_that_puts_silence_for_missing_sound_does_so_in_an_ensemble(agav_folder):
    silent = load_rater(agav_folder)
    filled = AgavRater(silent.backbone, zeros_for_missing=True)
    mute = Clip(video=torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)), fps=4)
    alone = filled([mute])
    found = EnsembleRater([filled, copy(filled)])([mute])
    torch.testing.assert_close(found.values, alone.values)
    assert found.present.all()
    assert not EnsembleRater([silent, filled])([mute]).present.any()
