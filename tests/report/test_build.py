"""From a ranking to the page's data."""

from dataclasses import dataclass

import pytest
from toy_raters import Reading, Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.scores import Dimension
from avreward.report import build
from avreward.report._measured import costliest, measured
from avreward.report.build import Details, bars_of, facts, settings, unread_prompt, write_report
from avreward.report.data import MeasurementView
from avreward.selection import best_of_n


class Calibrated(Toy):
    dimensions = (
        Dimension("power", 0, 1, frozenset({"audio"}), calibrated=True),
        Dimension("brightness", 0, float("inf"), frozenset({"video"})),
        Dimension("overall", 0, 1, frozenset(), calibrated=True),
        Dimension("peak", 0, 1, frozenset({"audio"}), unit="dB", detail=True),
    )

    def explain(self, clip: Clip) -> list:
        hum = Explained("hum", float("nan"), "dB", None, None, "")
        parts = [Explained(f"part {i}", 1.0, "", 0.1, True, "", "power", i / 2) for i in range(3)]
        return [hum, *parts, Explained("peak", 0.5, "dB", 2.0, False, "a book")]


@dataclass
class Explained:
    name: str
    value: float
    unit: str
    cost_ms: float | None
    higher_is_better: bool | None
    source: str
    feeds: str | None = None
    penalty: float | None = None


@pytest.fixture
def rater() -> Calibrated:
    return Calibrated()


def test_bars(rater):
    clips = [both(0.1, 0.2), both(0.9, 0.4)]
    reward = rater["power"] - 0.5 * rater["peak"]
    first, second = bars_of(best_of_n(clips, reward), reward)
    assert [bar.name for bar in first] == ["power", "brightness", "overall", "peak"]  # peak: the reward reads it
    assert [bar.level for bar in second] == ["excellent", None, "good", None]
    assert first[0].others == (pytest.approx(0.9),)
    assert (first[1].low, first[1].high) == (0, pytest.approx(0.42))  # no end: what the candidates reach, and a bit
    assert first[3].unit == "dB"


def test_the_reward_itself_comes_first(rater):
    reward = rater["overall"]
    bars = bars_of(best_of_n([both(0.1, 0.2)], reward), reward)[0]
    assert [bar.name for bar in bars] == ["overall", "power", "brightness"]


def test_missing_bars_say_why(rater):
    clips = [both(0.1, 0.2), picture(0.5)]
    picked = best_of_n(clips, rater["brightness"])
    power = next(bar for bar in bars_of(picked, rater["brightness"])[1] if bar.name == "power")
    assert power.value is None
    assert power.reason


def test_many_others_are_few_ticks(rater):
    clips = [sound(0.01 * i) for i in range(1, 60)]
    bars = bars_of(best_of_n(clips, rater["power"]), rater["power"])[0]
    assert len(bars[0].others) == build.TICKS
    assert max(bars[0].others) == pytest.approx(0.59)


def test_measurements(rater):
    clip, scores = both(0.1, 0.2), {"toy": rater([both(0.5, 0.5), both(0.1, 0.2)])}
    *parts, hum, peak = measured(clip, [rater, Toy("mute")], scores, 1)
    assert [(part.name, part.points) for part in parts] == [  # power is 0.1 of 1: 0.9 are shared out as 1 to 0.5
        ("part 2", pytest.approx(0.6)),
        ("part 1", pytest.approx(0.3)),
        ("part 0", 0),
    ]
    assert (peak.value, peak.unit, peak.cost_ms, peak.better, peak.source) == (0.5, "dB", 2.0, "lower", "a book")
    assert (hum.value, hum.better) == (None, "")
    assert hum.note


def test_the_costliest_are_the_reasons():
    rows = [MeasurementView(name, 1.0, feeds=feeds, points=points) for name, feeds, points in (
        ("a", "power", 3.0), ("b", "other", 50.0), ("c", "power", 0.2), ("d", "power", 9.0), ("e", "", None),
    )]  # fmt: skip
    assert [m.name for m in costliest(rows, {"power"})] == ["d", "a"]


def test_measuring_may_fail(rater, monkeypatch):
    def gone(clip: Clip) -> list:
        raise AvrewardError("a.mp4: it is gone")

    monkeypatch.setattr(rater, "explain", gone)
    [row] = measured(both(0.1, 0.2), [rater], {}, 0)
    assert "it is gone" in row.note


def test_the_page_speaks_of_the_prompt_only_where_there_is_one(rater, tmp_path):
    clips = [both(0.1, 0.2), both(0.3, 0.4)]
    page = write_report(tmp_path / "a.html", best_of_n(clips, rater["power"]), rater["power"]).read_text()
    assert "not read the prompt" not in page
    asked = [Clip(video=c.video, fps=8, audio=c.sound(), sample_rate=16000, prompt="a dog") for c in clips]
    page = write_report(tmp_path / "b.html", best_of_n(asked, rater["power"]), rater["power"]).read_text()
    assert "toy does not read the prompt" in page


def test_the_line_on_the_prompt(rater):
    assert "toy does not read the prompt" in unread_prompt(rater["power"])[0]
    assert "toy and other do not read" in unread_prompt(rater["power"] + Toy("other")["power"])[0]
    assert unread_prompt(Reading("reads")["faithful"]) == []


def test_facts():
    assert facts(both(0.1, 0.2)) == ["0.5 s", "16 × 16", "8 frames/s", "16 kHz mono"]
    assert facts(sound(0.5, 16000)) == ["1.0 s", "16 kHz mono", "no video was given"]


def test_settings_name_everything(rater):
    told = settings(rater["power"])
    assert told["Reward"] == "toy.power"
    assert told["Reward fingerprint"] == rater["power"].fingerprint
    assert "toy 1" in told["Rater toy"]
    assert "torch" in told["Versions"]


def test_a_whole_page(rater, tmp_path):
    clips = [both(0.1, 0.2).with_prompt("a drum"), both(0.9, 0.4).with_prompt("a bell"), sound(0.3)]
    reward = rater["overall"]
    drawn: list[str] = []
    picked = best_of_n(clips, reward)
    details = Details(names=["one", "two", "three"], captions={"one": "the first"}, step=drawn.append, wall_s=1.0)
    text = write_report(tmp_path / "page.html", picked, reward, details).read_text()
    assert text.index("<h3>two</h3>") < text.index("<h3>one</h3>")
    assert "<h3>three</h3>" not in text
    assert "three" in text
    assert "the first" in text
    assert "a bell" in text  # prompts differ, so each is told
    assert sorted(drawn) == ["one", "two"]
    assert sorted(p.name for p in (tmp_path / "page_files").iterdir()) == ["01-one.mp4", "02-two.mp4"]
