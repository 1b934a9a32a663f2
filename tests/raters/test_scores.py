import pytest
import torch

from avreward.errors import ArgumentError
from avreward.raters.scores import Dimension, Scores, as_row, level_of

GOOD = Dimension("good", 0, 100, frozenset({"video"}), calibrated=True)
COST = Dimension("cost", 0, 10, frozenset({"audio"}), higher_is_better=False, calibrated=True)
RAW = Dimension("raw", float("-inf"), float("inf"), frozenset({"audio"}))


def rows(*values):
    return Scores.collect([(v, {d.name: "why" for d in (GOOD, COST, RAW) if d.name not in v}, {}) for v in values],
                          (GOOD, COST, RAW))  # fmt: skip


def test_missing_entries_are_nan_constants_without_a_gradient():
    x = torch.tensor(3.0, requires_grad=True)
    scores = rows({"good": x * 2}, {"raw": x})
    assert scores.present.tolist() == [[True, False, False], [False, False, True]]
    assert torch.isnan(scores["good"][1])
    scores.values[scores.present].sum().backward()
    assert x.grad == 3
    assert scores.reasons[0] == {"cost": "why", "raw": "why"}


def test_levels_are_the_fifths_of_the_range_turned_for_costs():
    values = [0.0, 19.9, 20.0, 59.9, 79.9, 80.0, 100.0, 120.0, -3.0]
    scores = rows(*({"good": torch.tensor(v)} for v in values))
    assert scores.levels("good") == [
        "bad", "bad", "poor", "fair", "good", "excellent", "excellent", "excellent", "bad",
    ]  # fmt: skip
    assert level_of(1.0, COST) == "excellent"
    assert rows({}).levels("good") == [None]


def test_levels_of_an_uncalibrated_dimension_are_refused():
    with pytest.raises(ArgumentError, match=r"dimension: expected a calibrated one, .*, got 'raw'; use its value"):
        rows({"raw": torch.tensor(1.0)}).levels("raw")


def test_an_unknown_dimension_lists_the_known_ones():
    with pytest.raises(KeyError, match="good, cost, raw"):
        rows({})["sharp"]


def test_frames_rows_and_concatenation_keep_order():
    first, second = rows({"good": torch.tensor(1.0)}), rows({"cost": torch.tensor(2.0)})
    both = Scores.concatenate([first, second])
    assert len(both) == 2
    assert as_row(both, 0) == {"good": 1.0}
    assert as_row(both, 1) == {"cost": 2.0}
    frame = both.to_frame()
    assert list(frame.columns) == ["good", "cost", "raw"]
    assert frame["cost"].isna().tolist() == [True, False]
    with pytest.raises(ArgumentError, match="parts: expected at least one Scores"):
        Scores.concatenate([])


def test_sigma_is_kept_and_unknown_where_a_part_has_none():
    first, second = rows({"good": torch.tensor(1.0)}), rows({"cost": torch.tensor(2.0)}, {})
    assert first.sigma is None
    assert Scores.concatenate([first, second]).sigma is None
    first.sigma = torch.tensor([[0.5, float("nan"), float("nan")]])
    both = Scores.concatenate([first, second])
    assert both.sigma.shape == (3, 3)
    assert both.sigma[0, 0] == 0.5
    assert both.sigma.isnan().sum() == 8
    parts = both.split()
    assert [len(part) for part in parts] == [1, 1, 1]
    assert torch.equal(Scores.concatenate(parts).sigma.nan_to_num(-1), both.sigma.nan_to_num(-1))
    assert [part.reasons for part in parts] == [[reasons] for reasons in both.reasons]
    assert rows({}).split()[0].sigma is None


def test_a_sigma_of_another_shape_is_refused():
    scores = rows({})
    with pytest.raises(ArgumentError, match=r"sigma: expected .* value, shape \(1, 3\), got shape \(3,\); use"):
        Scores(scores.values, scores.present, scores.reasons, scores.dimensions, sigma=torch.zeros(3))


def test_shown_scores_say_why_others_are_missing():
    hidden = Dimension("detail", 0, 1, frozenset({"audio"}), detail=True)
    scores = Scores.collect(
        [({"good": torch.tensor(71.25)}, {"cost": "no <sound>", "detail": "unseen"}, {}), ({}, {"good": "dark"}, {})],
        (GOOD, COST, hidden),
    )
    scores.reasons[1]["cost"] = "dark"
    assert "1 measurement not shown" in repr(scores)
    assert "missing because" in repr(scores)
    assert [line for line in repr(scores).splitlines() if "no <sound>" in line and "71" in line]
    assert [line for line in repr(scores).splitlines() if line.count("dark") == 1]  # the same reason once
    assert "unseen" not in repr(scores)
    assert "no &lt;sound&gt;" in scores._repr_html_()
