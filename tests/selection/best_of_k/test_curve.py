"""Best-of-N as a curve over a table: pools of several sizes, intervals, the k that a gain needs, the winner's curse."""

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from scored_tables import pools, varied, write

from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring.table_reader import read_table
from avreward.selection.best_of_k._curve import best_of_k_curve
from avreward.selection.best_of_k.bootstrap import Bootstrap
from avreward.selection.candidates import candidates_of


def normal(path, prompts, n, correlation, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(prompts, n))
    y = correlation * x + np.sqrt(1 - correlation**2) * rng.normal(size=x.shape)
    level = spread * rng.normal(size=(prompts, 1))  # prompts differ; that plays no part within them
    return pools(path, (x + level).tolist(), **{"toy.quality": (y + level).tolist()})


def test_pools_of_several_sizes(tmp_path):
    table = pools(tmp_path / "t.parquet", [[1.0, 3.0], [0.0, 0.0, 6.0], [5.0]])
    found = best_of_k_curve(candidates_of(table), gain=1.5)
    assert [point.prompts for point in found.points] == [3, 2, 1]
    assert [point.expected.value for point in found.points] == pytest.approx([(2 + 2 + 5) / 3, (3 + 4) / 2, 6])
    assert [point.gain.value for point in found.points] == pytest.approx([0, (1 + 2) / 2, 4])  # paired
    assert found.sizes == {1: 1, 2: 1, 3: 1}
    assert (found.prompts, found.candidates, found.tied, found.needed.k) == (3, 6, 0, 2)
    assert found.points[2].win_rate is None
    assert found.points[1].win_rate.value == pytest.approx(2 / 3)  # only the pool of three has one more than two


def test_ties_are_counted_and_missing_scores_are_named(tmp_path):
    rows = [{"prompt": "a", "reward": value} for value in (2.0, 2.0, 1.0)]
    rows += [
        {"prompt": "a", "reasons": {"toy.quality": "the file is empty"}},
        {"reward": 1.0},
        {"prompt": "a", "reward": np.inf},
    ]
    found = best_of_k_curve(candidates_of(read_table(write(tmp_path / "t.jsonl", rows))))
    assert found.tied == 1
    assert found.missing == {"the file is empty": 1, "no value under reward": 1, "no group: nothing under group": 1}
    assert found.points[-1].expected.value == 2


def test_intervals_cover_the_truth(tmp_path):
    """The mean of the best of 4 normal samples is 1.0294; 95 % intervals hold it in about 95 % of data sets."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        draw = Bootstrap(40, resamples=400)
        from avreward.selection.best_of_k.estimators import expected_best

        found = draw.estimate(draw.means(expected_best(rng.normal(size=(40, 6))))[:, 3])
        hits += found.low <= 1.0294 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_a_single_prompt_has_no_interval(tmp_path):
    found = best_of_k_curve(candidates_of(pools(tmp_path / "t.parquet", [[1.0, 2.0]])), second="reward", gain=9.0)
    assert (found.points[1].gain.low, found.points[1].gain.high) == (None, None)
    assert (found.needed.k, found.needed.low) == (None, None)
    assert found.curse.correlation.value == pytest.approx(1)


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.9])
def test_regression_to_the_mean_is_what_is_found(tmp_path, correlation):
    found = best_of_k_curve(
        candidates_of(normal(tmp_path / "t.parquet", 1500, 8, correlation)), second="toy.quality", resamples=200
    ).curse
    assert found.correlation.value == pytest.approx(correlation, abs=0.03)
    last = found.points[-1]
    assert last.own.value == pytest.approx(1.4236, abs=0.05)  # the best of 8 normal samples
    assert last.predicted.value == pytest.approx(correlation * 1.4236, abs=0.05)
    assert last.second.low <= last.predicted.value <= last.second.high
    assert last.own.low < last.own.value < last.own.high


def test_exploitation_is_less_than_regression_to_the_mean_predicts(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(800, 8))
    y = np.where(x > 1.2, -1.0, x)  # the highest scores are a trick
    found = best_of_k_curve(
        candidates_of(pools(tmp_path / "t.parquet", x.tolist(), **{"toy.sync": y.tolist()})), second="toy.sync"
    )
    assert found.curse.points[-1].second.high < found.curse.points[-1].predicted.low


def test_a_clip_without_the_second_score_is_counted(tmp_path):
    nan = float("nan")
    table = pools(
        tmp_path / "t.parquet", [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]], **{"toy.sync": [[1, nan, 2.0], [nan, 1, 2.0]]}
    )
    found = best_of_k_curve(candidates_of(table), second="toy.sync")
    assert found.curse.lacking == 2
    assert len(found.curse.points) == 2
    assert len(found.points) == 3
    with pytest.raises(ArgumentError, match=r"second: expected a column of .* with values, got 'toy\.quality'"):
        best_of_k_curve(candidates_of(table), second="toy.quality")


def test_same_seed_same_interval(tmp_path):
    pool = candidates_of(read_table(varied(tmp_path / "t.parquet", 10, 4)))
    assert best_of_k_curve(pool, seed=1) == best_of_k_curve(pool, seed=1)
    assert best_of_k_curve(pool, seed=1) != best_of_k_curve(pool, seed=2)
    assert best_of_k_curve(pool).needed is None


@pytest.mark.parametrize("arguments", [{"level": 1.0}, {"gain": 0.0}, {"gain": float("nan")}, {"resamples": 0}])
def test_bad_arguments(tmp_path, arguments):
    pool = candidates_of(pools(tmp_path / "t.parquet", [[1.0, 2.0]]))
    with pytest.raises(ArgumentError, match=f"{next(iter(arguments))}: expected"):
        best_of_k_curve(pool, **arguments)


@pytest.mark.parametrize("value", [0.1, 55.3, -1e-9, 1e9 / 3])
def test_of_equal_rewards_the_gain_is_0_and_the_win_rate_one_half(tmp_path, value):
    found = best_of_k_curve(
        candidates_of(pools(tmp_path / "t.parquet", [[value] * 7, [2 * value] * 7, [value / 3] * 5]))
    )
    assert [point.gain.value for point in found.points] == [0.0] * 7
    assert [point.win_rate.value for point in found.points if point.win_rate] == [0.5] * 6
    assert {(point.gain.low, point.gain.high) for point in found.points[:5]} == {(0.0, 0.0)}


def test_a_reward_that_is_not_finite_is_there_but_does_not_count(tmp_path):
    def table_of(rewards):
        rows = {"clip": [f"{i}.mp4" for i in range(len(rewards))], "group": ["g"] * len(rewards), "reward": rewards}
        parquet.write_table(pyarrow.table(rows), tmp_path / "t.parquet")
        return read_table(tmp_path / "t.parquet")

    found = candidates_of(table_of([1.0, np.inf, 2.0, np.nan, -np.inf, None]))
    assert found.missing == {"a value under reward, but it is not finite": 2, "no value under reward": 2}
    with pytest.raises(AvrewardError, match="no finite value in the column reward"):
        candidates_of(table_of([np.inf, None]))
    with pytest.raises(AvrewardError, match="no value in the column reward"):
        candidates_of(table_of([None, np.nan]))
