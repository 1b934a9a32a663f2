"""Ensembles and calibrated raters in a reward's file: written, read back, and what is said of mistakes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_raters import Toy, both

from avreward.errors import AvrewardError
from avreward.raters import hub
from avreward.raters.wrappers._calibrated import calibrated
from avreward.raters.wrappers.calibration_curves import Linear, Logistic
from avreward.raters.wrappers.ensemble import EnsembleRater
from avreward.rewards.functions import minimum
from avreward.rewards.io import load_reward

LINE, STEP = Linear(1.3, 1, 1, 5), Logistic(5.0, 1.0, 0.1 + 0.2, 1e-5, 1.0, 5.0)
CLIP = both(0.5, 0.25)


class Scaled(Toy):
    """Its scores depend on the folder that it is loaded from."""

    def __init__(self, name: Any, **options: Any) -> None:
        super().__init__("published")
        self.factor = {"a": 1.0, "b": 2.0, "c": 4.0}[Path(str(name)).name]
        self.fingerprint = f"scaled {self.factor} {options}"
        self.source = {"rater": hub._findable(name), **hub._kept(options)}

    def row(self, sample: Any) -> Any:
        values, reasons, basis = super().row(sample)
        return {name: self.factor * value for name, value in values.items()}, reasons, basis


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    for name in "abc":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(hub, "load_rater", Scaled)
    return tmp_path


def loaded(path: Path) -> Any:
    """Without a word about changed raters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_reward(path)


def test_a_calibrated_rater_comes_back(home: Path) -> None:
    rater = calibrated(Scaled(home / "b", dtype="float32"), {"power": LINE, "peak": STEP})
    rater.name = "on_scale"
    reward = rater["power"] + rater["brightness"]
    path = reward.save(home / "mine.yaml")
    assert yaml.safe_load(path.read_text())["raters"] == {
        "on_scale": {
            "rater": "./b",
            "dtype": "float32",
            "calibration": {"power": {"linear": [1.3, 1, 1, 5]}, "peak": {"logistic": [5, 1, 0.1 + 0.2, 1e-5, 1, 5]}},
        }
    }
    again = loaded(path)
    assert again == reward
    assert again([CLIP]).item() == pytest.approx(1.3 * 2 * 0.5 + 1 + 2 * 0.25)
    assert again.raters[0].calibrations == rater.calibrations
    assert again.raters[0].dimension("power").calibrated
    assert loaded(reward.save(home / "folder")) == reward


def test_an_ensemble_comes_back(home: Path) -> None:
    one, two, three = Scaled(home / "a"), Scaled(home / "b"), Scaled(home / "c")
    two.name = "second"
    inner = EnsembleRater([two, three], "worst", name="inner")
    on_scale = calibrated(EnsembleRater([one, two]), {"power": LINE})
    rater = EnsembleRater([one, inner], "lower", 0.5, dimensions=["power", "peak"], name="careful")
    other = EnsembleRater([one, three])
    reward = minimum(rater["power"], 7) + 2 * other["peak"]
    path = reward.save(home / "mine.yaml")
    told = yaml.safe_load(path.read_text())["raters"]
    assert told["ensemble"] == {
        "ensemble": [{"rater": "./a", "name": "published"}, {"rater": "./c", "name": "published"}],
        "value": "mean",
    }
    second, last = {"rater": "./b", "name": "second"}, {"rater": "./c", "name": "published"}
    assert told["careful"] == {
        "ensemble": [
            {"rater": "./a", "name": "published"},
            {"ensemble": [second, last], "value": "worst", "name": "inner"},
        ],
        "value": "lower",
        "k": 0.5,
        "dimensions": ["power", "peak"],
    }
    again = loaded(path)
    assert again == reward
    found, expected = again.evaluate([CLIP]), reward.evaluate([CLIP])
    assert found.values.tolist() == expected.values.tolist()
    assert found.sigma is not None
    assert found.sigma.tolist() == expected.sigma.tolist()
    assert {name: rater.settings for name, rater in zip("ab", again.raters, strict=True)} == {
        name: rater.settings for name, rater in zip("ab", reward.raters, strict=True)
    }
    assert loaded(on_scale["power"].save(home / "scaled.yaml")) == on_scale["power"]
    (home / "home").mkdir()
    for name in "abc":
        (home / name).rename(home / "home" / name)
    path.rename(home / "home" / "mine.yaml")
    assert loaded(home / "home" / "mine.yaml")([CLIP]).item() == reward([CLIP]).item()


def test_the_built_in_rater_calibrated(tmp_path: Path) -> None:
    rater = calibrated(hub.load_rater("signals"), {"audio_quality": Linear(0.04, 1.0, 1.0, 5.0)})
    reward = rater["audio_quality"] - rater["clipping"]
    assert loaded(reward.save(tmp_path / "mine.yaml")) == reward


def test_what_a_file_cant_name_is_left_out(home: Path) -> None:
    """As any rater of one's own; given to `load_reward`, it is used."""
    own = EnsembleRater([Scaled(home / "a"), Toy("b")])
    twice = calibrated(calibrated(Scaled(home / "a"), {"power": LINE}), {"power": LINE})
    for rater in (own, twice, calibrated(Toy(), {"power": LINE})):
        assert rater.source is None
        path = rater["power"].save(home / "mine.yaml")
        assert "raters" not in yaml.safe_load(path.read_text())
        with pytest.raises(AvrewardError, match="unknown score"):
            load_reward(path)
        assert load_reward(path, {rater.name: rater}) == rater["power"]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("{ensemble: ./a}", r"ensemble: expected a list of raters, got './a'; write ensemble: \[FOLDER, FOLDER\]"),
        ("{ensemble: [./a]}", "raters: expected at least two raters, got 1"),
        ("{ensemble: [./a, {dtype: bfloat16}]}", "rater: expected a folder or name as text, got none; write x: FOLDER"),
        ("{ensemble: [./a, ./d]}", r"rater: expected .*, got ./d, which does not exist \(.*d\)"),
        ("{ensemble: [./a, ./b], rater: ./c}", "option of ensemble: expected one of value, k, dimensions, got 'rater'"),
        ("{ensemble: [./a, ./b], value: median}", "value: expected one of mean, lower, worst, got 'median'"),
        ("{ensemble: [./a, ./b], k: much}", "must be real number, not str"),
        ("{ensemble: [./a, ./b], dimensions: [loud]}", "got 'loud'; not all raters have it"),
        ("{rater: ./a, calibration: 3}", "calibration: expected curves, got something else"),
        (
            "{rater: ./a, calibration: {power: {linear: [1, 2]}}}",
            r"\(state of linear: expected 4 numbers \(a, b, low, high\), got \[1.0, 2.0\]\); write it as",
        ),
        (
            "{rater: ./a, calibration: {power: {linear: [.nan, 2, 1, 5]}}}",
            r"state of linear: expected finite numbers, got \[nan, 2.0, 1.0, 5.0\]",
        ),
        ("{rater: ./a, calibration: {power: [1, 2]}}", "calibration: expected curves"),
        (
            "{rater: ./a, calibration: {power: {linear: [1, 2]}}}",
            r"expected curves, got .*; write it as in calibration: {aud",
        ),
        ("{rater: ./a, calibration: {power: {linear: [a, 1, 1, 5]}}}", "calibration: expected curves"),
        ("{rater: ./a, calibration: {power: {cubic: [1, 1, 1, 5]}}}", "calibration: expected curves"),
        ("{rater: ./a, calibration: {loud: {linear: [1, 1, 1, 5]}}}", "dimension of published: expected one of power"),
        (
            "{rater: ./a, calibration: {power: {linear: [-1, 1, 1, 5]}}}",
            "calibration of power: expected .* that falls",
        ),
    ],
)
def test_mistakes_are_named(home: Path, told: str, says: str) -> None:
    path = home / "bad.yaml"
    path.write_text(f"reward: x.power\nraters:\n  x: {told}\n")
    with pytest.raises(AvrewardError, match=rf"bad.yaml: the rater x: .*{says}") as caught:
        load_reward(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("bad.yaml: ") == 1
