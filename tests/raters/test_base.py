"""How a rater shows itself, and what it says to mistyped names."""

from __future__ import annotations

import pytest
from toy_raters import AUDIO, Toy, both, sound

from avreward import Evaluator, Rater, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.scores import Dimension, Scores


def test_a_rater_shows_its_dimensions():
    lines = repr(load_rater("signals")).splitlines()
    assert lines[0] == "SignalsRater signals: 6 dimensions and 25 measurements behind them"
    assert lines[1].split() == ["dimension", "range", "better", "needs", "description"]
    assert [line.split()[0] for line in lines[2:]][:2] == ["audio_quality", "av_consistency"]
    assert "audio, video" in lines[3]
    assert "0 … 100" in lines[3]


def test_directions_and_units_are_shown():
    class Odd(Toy):
        dimensions = (
            Dimension("loudness", -60, 0, AUDIO, unit="dB", higher_is_better=None),
            Dimension("noise", 0, float("inf"), AUDIO, higher_is_better=False),
        )

    text = repr(Odd())
    assert text.startswith("Odd toy: 2 dimensions\n")
    assert "-60 … 0 dB" in text
    assert "0 … inf" in text
    assert "lower" in text
    assert "higher" not in text


def test_notebooks_get_escaped_html():
    class Sly(Toy):
        dimensions = (Dimension("power", 0, 1, AUDIO, description="<script>alert(1)</script>"),)

    html = Sly("<b>")._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert html.startswith("<table>")


def test_scores_show_values_and_reasons():
    scores = Toy()([sound(0.25), both(0.5, 0.25)])
    lines = repr(scores).splitlines()
    assert lines[0] == "Scores of 2 clips; 1 measurement not shown"
    assert lines[1].split() == ["clip", "power", "brightness", "overall", "missing", "because"]
    assert lines[2].split() == ["0", "0.25", "0.25", "no", "video", "was", "given"]
    assert lines[3].split() == ["1", "0.5", "0.25", "0.375"]
    scores.reasons[0]["brightness"] = "<i>"
    assert "&lt;i&gt;" in scores._repr_html_()


def test_many_scores_are_counted():
    assert repr(Toy()([sound(0.25)] * 12)).endswith("… and 2 more")
    assert repr(Toy()([])).startswith("Scores of 0 clips")


def test_mistyped_dimensions_get_a_suggestion():
    rater = Toy()
    for ask in (rater.__getitem__, rater.dimension):
        with pytest.raises(KeyError, match=r"dimension of toy: expected one of power, .*did you mean 'brightness'\?"):
            ask("brightnes")
    with pytest.raises(ArgumentError, match=r"dimension: expected one of power, .*did you mean 'power'\?"):
        rater([sound(0.25)])["pwer"]
    with pytest.raises(ArgumentError, match=r"and 19 more, got 'zzz'$"):
        load_rater("signals")["zzz"]


@pytest.mark.parametrize("name", ["name", "dimensions", "fingerprint"])
def test_an_attribute_that_is_not_set_is_named(name):
    class Bare(Rater):
        def __init__(self):
            given = {"name": "bare", "dimensions": Toy.dimensions, "fingerprint": "bare 1"}
            self.__dict__.update({key: value for key, value in given.items() if key != name})

        def load_track(self, clip, track):
            return None

        def rate(self, samples, work=None):
            return Scores.collect([({}, {}, {}) for _ in samples], self.dimensions)

    message = f"Bare: expected the attribute '{name}', got none; set it in the class or in __init__"
    with pytest.raises(AvrewardError) as caught:
        Evaluator([Bare(), Bare()]).evaluate([sound(0.5)])
    assert str(caught.value) == message
    assert not hasattr(Bare(), name)
    with pytest.raises(AttributeError, match="'Bare' object has no attribute 'weights'"):
        Bare().weights  # noqa: B018
