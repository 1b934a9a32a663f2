"""The table of false alarms can fail: it tells a right test from a wrong one."""

import compare
import numpy as np
import pytest


def test_tables_are_printed_at_tiny_size(capsys):
    assert compare.main(["--runs", "20", "--only", "5 systems, 8"]) == 0
    assert "| 5 systems, 8 groups | " in capsys.readouterr().out


def test_rows_are_those_of_the_scores():
    scores = compare.Case("x", systems=3, groups=4, clips=2, absent=0.3, dimensions=2).draw(np.random.default_rng(0))
    rows = compare.rows_of(scores)
    for i, cells in enumerate(compare.means(scores)):
        assert rows.cells(f"d{i}") == pytest.approx(cells, nan_ok=True)


def test_a_wrong_test_fails(monkeypatch):
    """Pairs without a correction among five systems are far above what is allowed."""
    case = next(one for one in compare.NULLS if one.name == "5 systems, 8 groups")
    right = compare.false_alarms(case, 200, 0)
    monkeypatch.setattr(compare, "corrected_p", lambda cells, single, draws, seed: single)
    assert right <= 0.1 * 200 < compare.false_alarms(case, 200, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2 systems, 8 groups", "skewed, 8 groups", "ties, 20 groups", "5 systems, 8 groups"])
def test_false_alarms(name):
    [case] = [one for one in compare.NULLS if one.name == name]
    runs = 2000
    assert compare.false_alarms(case, runs, 1) / runs <= 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5


@pytest.mark.slow
def test_power_and_coverage():
    case = next(one for one in compare.EFFECTS if one.name == "5 systems")
    better = compare.smallest(case, 50, 0)
    shown, covered = compare.power(case, better, 300, 0)
    assert shown / 300 > 0.72
    assert covered / 300 > 0.92
    assert compare.strengths((0.5, 0.0, -0.5), 8, 1, 0.0, 300, 0) / 300 > 0.92
