"""Evaluation against people: each number against its definition, intervals by content, and bad input."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from avreward.errors import ArgumentError
from avreward.evaluation import evaluate_judgments, judgments, pair_accuracy


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(judgments, "RESAMPLES", 200)


def clips(groups: int = 20, each: int = 4, noise: float = 0.7, seed: int = 0):
    """Judged clips, and their scores."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(3, 1, groups * each)
    scores = 50 + 40 * np.tanh(truth - 3) + draw.normal(0, 40 * noise, len(truth))
    rows = [
        {"clip": str(i), "group": f"g{i // each}", "system": "ab"[i % 2], "overall": float(truth[i])}
        for i in range(len(truth))
    ]
    return SimpleNamespace(kind="scores", rows=rows, dimensions=("overall",)), scores, truth


def evaluated(judged, scores, **options):
    return evaluate_judgments(judged, lambda clip, column: scores[int(clip)], {"overall": "toy"}, **options)


def test_correlations_are_those_of_scipy() -> None:
    judged, scores, truth = clips()
    found = evaluated(judged, scores)
    value = {one.metric: one.value for one in found.metrics}
    assert value["srcc"] == pytest.approx(stats.spearmanr(scores, truth).statistic)
    assert value["krcc"] == pytest.approx(stats.kendalltau(scores, truth).statistic)
    assert value["plcc"] == pytest.approx(stats.pearsonr(scores, truth).statistic)
    assert value["rmse"] == pytest.approx(np.sqrt(np.mean((scores - truth) ** 2)))
    assert value["rmse_fitted"] < np.std(truth) < value["rmse"]
    assert value["plcc_fitted"] == pytest.approx(math.sqrt(1 - (value["rmse_fitted"] / np.std(truth)) ** 2), abs=0.02)
    assert found.get("overall", "srcc").items == 80
    assert found.get("overall", "srcc").contents == 20


def test_choices_within_a_content_are_counted() -> None:
    judged, scores, truth = clips()
    scores[5] = scores[4]  # equal scores are wrong
    right = asked = best = 0.0
    for group in range(20):
        own = range(4 * group, 4 * group + 4)
        pairs = [(i, j) for i in own for j in own if i < j]
        right += sum((scores[i] - scores[j]) * (truth[i] - truth[j]) > 0 for i, j in pairs)
        asked += len(pairs)
        best += max(own, key=scores.__getitem__) == max(own, key=truth.__getitem__)
    found = evaluated(judged, scores)
    assert found.get("overall", "pair_accuracy").value == pytest.approx(right / asked)
    assert found.get("overall", "best_of_group").value == pytest.approx(best / 20)
    assert found.chance == {"overall": 0.25}


def test_equal_scores_share_the_best() -> None:
    judged, _, _ = clips(groups=5)
    found = evaluated(judged, np.zeros(20))
    assert found.get("overall", "best_of_group").value == pytest.approx(0.25)
    assert found.get("overall", "pair_accuracy").value == 0
    assert math.isnan(found.get("overall", "srcc").value)
    assert any("all scores are equal" in note for note in found.notes)


def test_intervals_are_by_content() -> None:
    """Where contents differ as wholes, clips of one are not independent: the interval is wider."""
    draw = np.random.default_rng(0)
    shift, own = np.repeat(draw.normal(0, 1, 25), 20), draw.normal(0, 0.3, 500)
    truth = np.repeat(draw.normal(0, 1, 25), 20) * 0.5 + shift + own
    rows = [{"clip": str(i), "overall": float(truth[i]), "group": i // 20} for i in range(500)]
    widths = {}
    for by in ("group", "clip"):
        given = [row | {"group": row[by]} for row in rows]
        judged = SimpleNamespace(kind="scores", rows=given, dimensions=("overall",))
        one = evaluated(judged, shift + draw.normal(0, 0.1, 500)).get("overall", "plcc")
        assert one.low < one.value < one.high
        widths[by] = one.high - one.low
    assert widths["group"] > 2 * widths["clip"]


def test_a_steep_curve_is_level_on_some_resamples() -> None:
    truth = [1.0] * 8 + [1.001] * 7 + [5.0]  # a resample without the last clip lies on the lower end of a steep curve
    rows = [{"clip": str(i), "group": str(i // 2), "overall": value} for i, value in enumerate(truth)]
    judged = SimpleNamespace(kind="scores", rows=rows, dimensions=("overall",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluated(judged, np.array([*np.linspace(0, 1, 15), 1000.0]))
    assert found.get("overall", "plcc_fitted").value > 0.99


def test_a_curve_that_falls_is_told() -> None:
    judged, scores, _ = clips()
    found = evaluated(judged, -scores)
    assert found.get("overall", "plcc").value < -0.5 < 0.5 < found.get("overall", "plcc_fitted").value
    assert any("the fitted curve falls" in note for note in found.notes)
    assert not evaluated(judged, scores).notes


def test_categories() -> None:
    judged, scores, truth = clips()
    found = evaluated(judged, scores, by="system")
    own = np.arange(80) % 2 == 0
    assert found.get("overall", "srcc", "a").value == pytest.approx(stats.spearmanr(scores[own], truth[own]).statistic)
    assert found.get("overall", "srcc", "a").items == 40
    assert found.to_frame()["category"].unique().tolist() == ["", "a", "b"]
    with pytest.raises(ArgumentError, match="by: expected one of clip, group, system"):
        evaluated(judged, scores, by="genre")


def test_lower_is_better() -> None:
    judged, scores, _ = clips()
    up, down = evaluated(judged, scores), evaluated(judged, -scores, lower=["toy"])
    assert up.get("overall", "best_of_group").value == down.get("overall", "best_of_group").value
    assert up.get("overall", "srcc").value == down.get("overall", "srcc").value


def test_pairs() -> None:
    verdicts, gaps = ["first", "tie", "second", "first"], [0.5, 0.1, -0.2, -0.3]
    rows = [
        {"first": f"{i}a", "second": f"{i}b", "group": str(i), "overall": verdict} for i, verdict in enumerate(verdicts)
    ]
    rows.append({"first": "4a", "second": "4b", "overall": None})
    judged = SimpleNamespace(kind="pairs", rows=rows, dimensions=("overall",))

    def score(clip: str, column: str) -> float:
        return gaps[int(clip[0])] if clip.endswith("a") else 0.0

    found = evaluate_judgments(judged, score, {"overall": "toy"})
    one = pair_accuracy([1, 0, -1, 1], gaps)
    assert found.get("overall", "accuracy_with_ties").value == one.with_ties == 0.75
    assert found.get("overall", "accuracy_without_ties").value == pytest.approx(2 / 3)
    assert found.get("overall", "accuracy_without_ties").items == 3


def test_clips_without_a_score_are_named() -> None:
    judged, scores, _ = clips()
    scores[3] = math.nan
    found = evaluated(judged, scores)
    assert found.left_out == ("3",)
    assert found.get("overall", "srcc").items == 79
    with pytest.raises(ArgumentError, match="judgments and scores in toy, got no score with both; check the paths"):
        evaluated(judged, np.full(80, math.nan))


def test_one_content_has_no_interval_and_equal_judgments_ask_nothing() -> None:
    judged, scores, _ = clips(groups=1, each=12)
    one = evaluated(judged, scores).get("overall", "srcc")
    assert math.isnan(one.low)
    assert math.isfinite(one.value)
    for row in judged.rows:
        row["overall"] = 3.0
    found = evaluated(judged, scores)
    assert found.metrics == ()
    assert found.notes == ("overall: all judgments are equal, so nothing can be compared",)


def test_wrong_arguments() -> None:
    judged, scores, _ = clips(groups=3)
    with pytest.raises(ArgumentError, match="dimension: expected one of overall, got 'quality'"):
        evaluate_judgments(judged, lambda clip, column: 0.0, {"quality": "toy"})
    with pytest.raises(ArgumentError, match="level"):
        evaluated(judged, scores, level=95)


def test_the_same_seed_gives_the_same_intervals() -> None:
    judged, scores, _ = clips()
    assert evaluated(judged, scores).metrics == evaluated(judged, scores).metrics
    assert evaluated(judged, scores).metrics != evaluated(judged, scores, seed=1).metrics
    assert "against people" in repr(evaluated(judged, scores))
