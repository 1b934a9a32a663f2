"""Cascades: who decides which clip, what is missing and why, gradients, files, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toy_raters import Reading, Toy, both, picture, sound

from avreward.errors import ArgumentError
from avreward.raters.registry import register_rater
from avreward.raters.scores import Dimension
from avreward.raters.wrappers._cascade_rule import CascadeRule, rule_from
from avreward.raters.wrappers.cascade import CascadeRater
from avreward.rewards.io import load_reward

AUDIO = frozenset({"audio"})


class Expensive(Toy):
    """Ten times the peak of the sound; knows how sure it is."""

    dimensions = (Dimension("quality", 0, 10, AUDIO, "points", calibrated=True),)

    def row(self, sample):
        values = super().row(sample)[0]
        if "peak" not in values:
            return {}, {"quality": "no sound"}, {}
        return {"quality": 10 * values["peak"]}, {}, {}

    def rate(self, samples, work=None):
        scores = super().rate(samples, work)
        return replace(scores, sigma=torch.full_like(scores.values, 0.5))


class Sure(Toy):
    """Doubtful about loud sounds."""

    def rate(self, samples, work=None):
        scores = super().rate(samples, work)
        return replace(scores, sigma=scores.values.detach().clone())


def rule(cheap, expensive, **changes):
    given = {
        "dimensions": ("power", "quality"), "fingerprints": (cheap.fingerprint, expensive.fingerprint), "slope": 8.0,
        "intercept": 1.0, "reads": "score", "low": 0.25, "high": float("inf"), "decision": "best", "risk": 0.1,
        "confidence": 0.95, "groups": 60, "wrong": 0.02, "asked": 0.4,
    }  # fmt: skip
    return CascadeRule(**{**given, **changes})


def cascade(cheap=None, expensive=None, **changes):
    cheap, expensive = cheap or Toy("quick"), expensive or Expensive("slow")
    return CascadeRater(cheap, expensive, rule(cheap, expensive, **changes))


def test_the_cheap_rater_decides_outside_the_interval_and_the_expensive_one_within():
    rater = cascade()
    scores = rater([sound(0.16), sound(0.25), sound(0.64)])
    assert scores["quality"].tolist() == pytest.approx([8 * 0.16 + 1, 5.0, 8.0])
    assert scores["asked"].tolist() == [0, 1, 1]
    assert sum(rater.expensive.calls) == 2
    assert len(rater.expensive.loads) == 2  # what it is not asked about, it does not decode
    sigma = scores.sigma[:, scores.column("quality")]
    assert sigma[0].isnan()
    assert sigma[1:].tolist() == [0.5, 0.5]
    dimension = rater.dimension("quality")
    assert (dimension.high, dimension.unit, dimension.needs) == (10, "points", AUDIO)
    assert rater.dimension("asked").detail


def test_a_doubtful_score_goes_to_the_expensive_rater():
    rater = cascade(Sure("quick"), reads="sigma", low=0.5)
    scores = rater([sound(0.16), sound(0.64)])
    assert scores["asked"].tolist() == [0, 1]
    assert scores.sigma[:, 0].tolist() == pytest.approx([8 * 0.16, 0.5])  # on the scale of the expensive rater
    unknown = cascade(reads="sigma", low=0.5)
    assert unknown([sound(0.16)])["asked"].tolist() == [1]


def test_a_score_does_not_depend_on_the_batch():
    clips = [sound(0.04 * level * level) for level in range(1, 5)]
    together = cascade()(clips)["quality"]
    assert together.tolist() == [float(cascade()([clip])["quality"]) for clip in clips]


def test_what_either_rater_needs_is_needed():
    scores = cascade()([picture(0.5), sound(0.64)])
    assert scores.present[:, 0].tolist() == [False, True]
    assert set(scores.reasons[0]) == {"quality", "asked"}
    anchored = Reading("slow")
    rater = cascade(expensive=anchored, dimensions=("brightness", "faithful"))
    scores = rater([both(0.5, 0.1), picture(0.5, prompt="a dog")])
    assert "no prompt" in scores.reasons[0]["faithful"]
    assert scores.present[:, 0].tolist() == [False, True]


def test_the_gradient_is_that_of_the_rater_that_decided():
    for level, slope in ((0.2, 8.0 * 2 * 0.2 / 4), (0.8, 10.0)):
        wave = torch.tensor([[level, 0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
        clip = sound(0.0).with_audio(wave, 16000)
        cascade(low=0.1)["quality"]([clip]).sum().backward()
        assert wave.grad[0, 0].item() == pytest.approx(slope)


def test_a_rule_is_for_two_raters_alone():
    quick, slow = Toy("quick"), Expensive("slow")
    with pytest.raises(ArgumentError, match=r"cheap: expected the rater that the rule is for \(quick 1\), got other 1"):
        CascadeRater(Toy("other"), slow, rule(quick, slow))
    with pytest.raises(ArgumentError, match="expensive: expected another rater than the cheap one, got quick as both"):
        CascadeRater(quick, quick, rule(quick, quick, dimensions=("power", "peak")))
    aimless = Toy("aimless")
    aimless.dimensions = (replace(Toy.dimensions[0], higher_is_better=None),)
    with pytest.raises(ArgumentError, match="neither end is better"):
        CascadeRater(aimless, slow, rule(aimless, slow))


def test_a_rule_comes_back_from_plain_values():
    found = rule(Toy("quick"), Expensive("slow"))
    assert "high" not in found.record
    assert rule_from(found.record) == found
    assert "at most 0.1, with confidence 0.95" in found.promise
    for wrong, match in (
        ({**found.record, "risc": 1}, "rule: expected one of"),
        ({key: value for key, value in found.record.items() if key != "slope"}, "slope of the rule"),
        ({**found.record, "slope": float("nan")}, "slope: expected a finite number"),
        ({**found.record, "reads": "mood"}, "reads: expected one of"),
        ({**found.record, "slope": 10**400}, "slope: expected a finite number"),
        ({**found.record, "risk": 1.5}, "risk: expected a number between 0 and 1"),
        ({**found.record, "confidence": "0.95"}, "confidence: expected a number between 0 and 1"),
        ({**found.record, "groups": 0}, "groups: expected a number of groups"),
        ({**found.record, "wrong": -0.1}, "wrong: expected a share"),
        ({**found.record, "asked": None}, "asked: expected a share"),
        ({**found.record, "high": 0.1}, "low: expected a number of at most high"),
        ("all", "rule: expected what calibrate_cascade found"),
    ):
        with pytest.raises(ArgumentError, match=match):
            rule_from(wrong)


def test_a_reward_file_names_a_cascade(tmp_path):
    register_rater("quick_toy", lambda: Toy("quick_toy"))
    register_rater("slow_toy", lambda: Expensive("slow_toy"))
    quick, slow = (
        load_reward(f"{name}.{d}").raters[0] for name, d in (("quick_toy", "power"), ("slow_toy", "quality"))
    )
    rater = CascadeRater(quick, slow, rule(quick, slow))
    path = (2 * rater["quality"]).save(tmp_path / "mine.yaml")
    again = load_reward(path)
    assert again.fingerprint == (2 * rater["quality"]).fingerprint
    assert again([sound(0.64)]).item() == pytest.approx(16.0)
    text = path.read_text()
    path.write_text(text.replace("- quick_toy", "- slow_toy").replace("rater: quick_toy", "rater: slow_toy"))
    with pytest.raises(Exception, match=r"mine\.yaml: the rater cascade"):
        load_reward(path)
