"""Why the best one won: differences, parts of the reward, and what is equal for all."""

from types import SimpleNamespace

import pytest
from toy_raters import Toy, both, sound

from avreward.errors import ArgumentError
from avreward.report import why_it_won
from avreward.report.data import MeasurementView
from avreward.selection import best_of_n


@pytest.fixture
def rater() -> Toy:
    return Toy()


def test_differences_to_the_runner_up_and_the_mean(rater):
    clips = [both(0.1, 0.4), both(0.9, 0.4), both(0.5, 0.4)]
    why = why_it_won(best_of_n(clips, rater["power"]), rater["power"], ["a", "b", "c"])
    assert (why.best, why.runner_up, why.count) == ("b", "c", 3)
    assert why.by == pytest.approx(0.4)
    assert why.by_mean == pytest.approx(0.4)
    power = why.dimensions[0]
    assert (power.name, power.over_runner_up, power.over_mean) == ("power", pytest.approx(0.4), pytest.approx(0.4))
    assert why.equal == ("brightness",)
    assert why.sentence() == "b won over c by 0.4"  # the reward is one dimension, and no other tells why
    fused = why_it_won(best_of_n(clips, rater["overall"]), rater["overall"], ["a", "b", "c"])
    assert fused.sentence() == "b won over c by 0.2: power +0.4"


def test_parts_of_a_reward_add_up(rater):
    clips = [both(0.1, 0.9), both(0.9, 0.4)]
    for reward in (
        rater["power"] - 0.5 * rater["brightness"],
        rater["power"] * rater["brightness"] + rater["overall"],
    ):
        why = why_it_won(best_of_n(clips, reward), reward, ["a", "b"])
        parts = [row.of_reward for row in why.rows if row.of_reward is not None]
        assert sum(parts) == pytest.approx(why.by)
        means = [row.of_reward_mean for row in why.rows if row.of_reward_mean is not None]
        assert len(means) == len(parts)
    reward = rater["power"] - rater["brightness"]
    why = why_it_won(best_of_n(clips, reward), reward, ["a", "b"])
    assert why.sentence() == "b won over a by 1.3: power +0.8, brightness +0.5"
    assert sum(row.of_reward_mean or 0.0 for row in why.rows) == pytest.approx(why.by_mean)


def test_measurements_divide_the_difference_of_their_dimension(rater):
    picked = best_of_n([both(0.9, 0.4), both(0.5, 0.4), both(0.1, 0.4)], rater["power"])

    def own(hiss: float, hum: float) -> list[MeasurementView]:
        return [
            MeasurementView("hiss", hiss, "dB", feeds="power", penalty=hiss),
            MeasurementView("hum", hum, feeds="power", penalty=hum),
            MeasurementView("pitch", hiss),
        ]

    measurements = {0: own(0.1, 0.3), 1: own(0.6, 0.2), 2: own(0.9, 0.3)}
    why = why_it_won(picked, rater["power"], ["a", "b", "c"], measurements)
    assert [(row.name, row.unit, row.feeds) for row in why.measurements] == [
        ("hiss", "dB", "power"),
        ("hum", "", "power"),
    ]
    hiss, hum = why.measurements
    assert (hiss.over_runner_up, hum.over_runner_up) == (pytest.approx(0.5), pytest.approx(-0.1))  # 0.4 in all
    assert (hiss.over_mean, hum.over_mean) == (pytest.approx((0.5 + 0.8) / 3), pytest.approx(-0.1 / 3))
    assert hiss.over_mean + hum.over_mean == pytest.approx(0.9 - 0.5)
    assert why.details() == "Measurements, in points of their dimension: hiss +0.5, hum −0.1"


class Explaining(Toy):
    def explain(self, clip):
        power = float(clip.sound().square().mean())
        about = {"unit": "dB", "feeds": "power", "cost_ms": 1.0, "source": "", "higher_is_better": True}
        return [SimpleNamespace(name="hiss", value=power, penalty=1 - power, **about)]


def test_measured_by_the_raters():
    rater = Explaining()
    picked = best_of_n([both(0.9, 0.4), both(0.5, 0.4)], rater["power"])
    why = why_it_won(picked, rater["power"])
    assert [(row.name, row.best, row.over_runner_up) for row in why.measurements] == [
        ("hiss", pytest.approx(0.9), pytest.approx(0.4))
    ]
    assert why.to_json()["rows"][0]["name"] == "power"
    assert repr(why).startswith("<tensor>" if "<tensor>" in why.best else why.best)


def test_missing_values_are_no_differences(rater):
    why = why_it_won(best_of_n([both(0.9, 0.4), sound(0.5)], rater["power"]), rater["power"], ["a", "b"])
    brightness = next(row for row in why.dimensions if row.name == "brightness")
    assert (brightness.best, brightness.runner_up) == (pytest.approx(0.4), None)
    assert brightness.over_runner_up is None


def test_one_candidate_won_over_nobody(rater):
    with pytest.raises(ArgumentError, match="picked: expected a ranking of at least two candidates"):
        why_it_won(best_of_n([both(0.9, 0.4)], rater["power"]), rater["power"])
