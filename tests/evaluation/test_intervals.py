"""The Wilson interval against its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from avreward.errors import ArgumentError
from avreward.evaluation.intervals import wilson

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.floats(0.5, 4))
def test_the_bounds_solve_the_equation(counts: tuple[int, int], z: float) -> None:
    successes, trials = counts
    share = successes / trials
    low, high = wilson(successes, trials, z)
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        distance = abs(share - bound) - z * math.sqrt(bound * (1 - bound) / trials)
        assert distance == pytest.approx(0, abs=1e-7)


@given(COUNTS)
def test_against_scipy(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson(*counts, z=stats.norm.ppf(0.975)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_ends() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    for successes, trials in ((-1, 5), (6, 5), (0, -1)):
        with pytest.raises(ArgumentError, match=r"^successes: expected a number from 0 to trials"):
            wilson(successes, trials)
