"""Charts: positions in percent, round labels, bands, and values that aren't there."""

import math

import pytest

from avreward.report._charts import Chart, Line, round_numbers
from avreward.report.curve_page import span
from avreward.selection.best_of_k.bootstrap import Estimate


def chart(*lines, **options):
    return Chart("title", "caption", "x", "y", lines, ((0.0, "1"), (2.0, "4")), **options)


def test_positions():
    drawn = chart(Line("a", [0, 1, 2], [0, 50, 100], [None, 40, 90], [None, 60, 100]))
    assert drawn.columns == [("0", "1"), ("100", "4")]
    [line] = drawn.drawn
    # 6 % of room on both sides: the range is -6 … 106, of 112
    assert line.path == f"M0 {100 * 106 / 112:.2f}L50 50L100 {100 * 6 / 112:.2f}"
    assert line.band.count("L") == 3  # only where there is an interval
    assert len(line.dots) == 3
    assert [label for _, label in drawn.rows] == ["0", "20", "40", "60", "80", "100"]
    assert drawn.level_at is None
    assert chart(Line("a", [0, 1], [0, 1]), level=2.0).level_at == "5.36"


@pytest.mark.parametrize("y", [[3.0, 3.0], [0.0, 0.0], [math.nan, 1.0], [-1e-9, 1e9]])
def test_flat_missing_and_extreme_values(y):
    drawn = chart(Line("a", [0, 1], y))
    assert drawn.rows
    for line in drawn.drawn:
        assert "nan" not in line.path
        assert line.path.count("L") == sum(map(math.isfinite, y)) - 1
    assert chart(Line("a", [1], [1.0])).drawn[0].dots == [("50", "50")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.1, 2.2, [0.0, 0.5, 1.0, 1.5, 2.0]),
        (0, 1.57, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]),
        (-7, 7, [-6, -4, -2, 0, 2, 4, 6]),
    ],
)
def test_round_numbers(low, high, expected):
    assert round_numbers(low, high) == expected


def test_span():
    assert span(Estimate(1.234, 1.1, 1.3)) == "1.23 [1.1, 1.3]"
    assert span(Estimate(0.5, 0.5, 0.5)) == "0.5"
    assert span(Estimate(math.nan, None, None)) == span(None) == "–"
