"""Matching: tolerances on the right scales, balance that leaves nothing to learn, and leaks that are told."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_tables import varied, write

from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring.table_reader import read_table
from avreward.selection.pairs.matching import Covariate, covariates_of, leaks, mirrored


def near(covariate, one, other):
    return bool(abs(covariate.difference(np.array([one]), np.array([other]))[0]) <= covariate.tolerance)


def test_tolerances_are_shares_and_loudness_units(tmp_path):
    nan = float("nan")
    rows = [
        {"seconds": 4.0, "loudness": -23.0, "motion": 1.0, "width": 640, "height": 360},
        {"seconds": 4.2, "loudness": -22.0, "motion": 1.2, "width": 640, "height": 360},
        {"seconds": 4.3, "loudness": -21.9, "motion": 2.0, "width": 320, "height": 180},
        {"seconds": 4.0, "loudness": nan, "motion": 0.0, "width": 360, "height": 640},
        {"seconds": 4.0, "loudness": nan, "motion": 0.02},
    ]
    table = read_table(write(tmp_path / "t.parquet", rows))
    found = {one.name: one for one in covariates_of(table, dict.fromkeys(("seconds", "loudness", "motion", "size")))}
    assert near(found["seconds"], 0, 1)
    assert not near(found["seconds"], 0, 2)
    assert near(found["loudness"], 0, 1)
    assert not near(found["loudness"], 0, 2)
    assert near(found["loudness"], 3, 4)  # both silent
    assert not near(found["loudness"], 0, 3)
    assert near(found["motion"], 0, 1)
    assert not near(found["motion"], 0, 2)
    assert near(found["motion"], 3, 4)  # both still
    assert near(found["size"], 0, 3)
    assert not near(found["size"], 0, 2)
    [wide] = covariates_of(table, {"seconds": 0.1})
    assert near(wide, 0, 2)


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 2), max_size=60), st.randoms(use_true_random=False))
def test_what_is_kept_is_its_own_mirror_image(apart, rng):
    """Chosen and rejected swapped, the kept pairs fall into the same cells equally often; none is left out useless."""
    values = np.array([0.0, *(d for pair in apart for d in pair)])
    chosen = np.arange(1, len(values), 2)
    one = Covariate("a", np.concatenate([[0.0], np.repeat(values[1::2], 2)]), 3.0)
    other = Covariate("b", np.concatenate([[0.0], np.repeat(values[2::2], 2)]), 3.0)
    rejected = np.zeros(len(chosen), dtype=np.int64)
    rank = np.array(rng.sample(range(len(chosen)), len(chosen)), dtype=np.int64)
    keep = mirrored([one, other], chosen, rejected, rank)

    def cell(pair):
        return tuple(int(np.sign(d)) * (2 if abs(d) > 1.5 else 1) for d in pair)

    kept = [cell(pair) for pair, good in zip(apart, keep, strict=True) if good]
    everything = [cell(pair) for pair in apart]
    for one_cell in set(everything):
        opposite = tuple(-d for d in one_cell)
        assert (
            kept.count(one_cell) == kept.count(opposite) == min(everything.count(one_cell), everything.count(opposite))
        )


def test_leaks_are_told():
    rng = np.random.default_rng(0)
    n = 4000
    values = np.zeros(2 * n)
    chosen, rejected = np.arange(n), np.arange(n) + n
    values[:n] = rng.normal(1, 1, n)  # the chosen one has more in 84 %
    values[n:] = 0.0
    noise = rng.normal(size=2 * n)
    found = leaks([Covariate("x", values, 1), Covariate("y", noise, 1)], chosen, rejected, np.arange(n) % 50)
    assert found["x"] == pytest.approx(0.841, abs=0.02)
    assert found["y"] == pytest.approx(0.5, abs=0.03)
    assert found["together"] == pytest.approx(0.841, abs=0.02)
    same = Covariate("z", np.zeros(2 * n), 1)
    assert math.isnan(leaks([same], chosen, rejected, chosen)["z"])
    assert math.isnan(leaks([same, same], chosen, rejected, chosen)["together"])


def test_a_model_of_several_sees_what_none_shows_alone():
    """Chosen by x − y, where each alone says little."""
    rng = np.random.default_rng(1)
    common, small = rng.normal(size=(2, 6000)) * [[5.0], [1.0]]
    x, y = common + small, common - small
    first = x[:3000] - y[:3000] > x[3000:] - y[3000:]
    one, other = np.arange(3000), np.arange(3000, 6000)
    chosen, rejected = np.where(first, one, other), np.where(first, other, one)
    found = leaks([Covariate("x", x, 1), Covariate("y", y, 1)], chosen, rejected, one)
    assert max(found["x"], 1 - found["y"]) < 0.65
    assert found["together"] > 0.97


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        ({"colour": None}, "match: expected one of seconds, .*, got 'colour'"),
        ({"seconds": -1.0}, "match: expected a tolerance of at least 0 for seconds, got -1"),
        ({"size": None}, "match: .* got size without a value in width or height"),
    ],
)
def test_bad_input(tmp_path, match, problem):
    with pytest.raises(ArgumentError, match=problem):
        covariates_of(read_table(write(tmp_path / "t.parquet", [{"seconds": 1.0}])), match)


def test_a_table_without_the_column(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"clip": "a", "x": 1.5}\n')
    with pytest.raises(AvrewardError, match="got 'motion'"):
        covariates_of(read_table(tmp_path / "t.jsonl"), {"motion": None})
    assert len(covariates_of(read_table(varied(tmp_path / "v.parquet", 2, 2)), dict.fromkeys(("motion", "size")))) == 2
