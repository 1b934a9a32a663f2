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
    assert why.sentence() == "b won over c by 0.4: power +0.4, overall +0.2"


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


def test_measurements_in_points(rater):
    picked = best_of_n([both(0.9, 0.4), both(0.5, 0.4)], rater["power"])
    measurements = {
        0: [MeasurementView("hiss", 1.0, "dB", feeds="power", points=2.0), MeasurementView("hum", 3.0, points=0.0)],
        1: [MeasurementView("hiss", 4.0, "dB", feeds="power", points=9.0), MeasurementView("hum", 3.0, points=0.0)],
    }
    why = why_it_won(picked, rater["power"], ["a", "b"], measurements)
    assert [(row.name, row.over_runner_up, row.unit) for row in why.measurements] == [("hiss", 7.0, "dB")]
    assert why.measurements[0].over_mean == pytest.approx(3.5)
    assert why.details() == "Measurements, in points of their dimension: hiss +7"


class Explaining(Toy):
    def explain(self, clip):
        power = float(clip.sound().square().mean())
        about = {"unit": "dB", "feeds": "power", "cost_ms": 1.0, "source": "", "higher_is_better": True}
        return [SimpleNamespace(name="hiss", value=power, penalty=1.0, **about)]


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
