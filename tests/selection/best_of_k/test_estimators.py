"""The statistics of best-of-N against brute force over all draws."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avreward.errors import ArgumentError
from avreward.selection.best_of_k.estimators import chosen_value, expected_best, kl_bound, win_rate

NUMBERS = st.one_of(st.integers(0, 3).map(float), st.floats(-5, 5))
POOLS = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (2, n), elements=NUMBERS))


def draws(n: int, k: int):
    return list(itertools.permutations(range(n), k))


@given(POOLS, st.randoms(use_true_random=False))
def test_as_the_mean_over_all_draws(scores, rng):
    n = scores.shape[1]
    judged = np.array([[rng.random() for _ in range(n)] for _ in range(2)])
    best, other, wins = expected_best(scores), chosen_value(scores, judged), win_rate(scores)
    assert best.shape == other.shape == (2, n)
    assert wins.shape == (2, n - 1)
    for row in range(2):
        x, y = scores[row], judged[row]
        for k in range(1, n + 1):
            chosen = [max(draw, key=lambda i: x[i]) for draw in draws(n, k)]  # the first of equals
            assert best[row, k - 1] == pytest.approx(np.mean([x[i] for i in chosen]), abs=1e-9)
            assert other[row, k - 1] == pytest.approx(np.mean([y[i] for i in chosen]), abs=1e-9)
        for k in range(1, n):
            outcomes = [(max(x[list(d[:k])]), x[d[k]]) for d in draws(n, k + 1)]
            won = np.mean([(m > one) + 0.5 * (m == one) for m, one in outcomes])
            assert wins[row, k - 1] == pytest.approx(won, abs=1e-9)


@given(POOLS)
def test_more_candidates_never_hurt_and_the_ends_are_mean_and_maximum(scores):
    best = expected_best(scores)
    assert (np.diff(best, axis=1) >= -1e-9).all()
    assert best[:, 0] == pytest.approx(scores.mean(axis=1))
    assert (best[:, -1] == scores.max(axis=1)).all()


def test_distinct_scores_win_k_of_k_and_one_more_times_and_equal_ones_half():
    assert win_rate(np.array([[3.0, 1.0, 2.0, 7.0]]))[0] == pytest.approx([1 / 2, 2 / 3, 3 / 4])
    assert win_rate(np.full((1, 4), 5.0))[0] == pytest.approx([0.5, 0.5, 0.5])


def test_large_pools_stay_exact():
    n = 800
    best = expected_best(np.arange(1.0, n + 1)[None])[0]
    k = np.arange(1, n + 1)
    assert best == pytest.approx(k * (n + 1) / (k + 1), rel=1e-9)  # of the numbers 1 … n
    assert win_rate(np.arange(float(n))[None])[0] == pytest.approx(k[:-1] / (k[:-1] + 1), rel=1e-9)


def test_the_estimate_is_unbiased():
    rng = np.random.default_rng(0)
    found = expected_best(rng.normal(size=(40_000, 5))).mean(axis=0)
    assert found == pytest.approx([0, 0.5642, 0.8463, 1.0294, 1.1630], abs=0.02)  # means of normal order statistics


def test_the_bound_is_the_divergence_of_the_best_of_k_where_nothing_ties():
    """Of n equally likely outcomes without ties, as n grows, KL(best of k ‖ one) = log k − (k − 1)/k."""
    n = 200_000
    i = np.arange(1, n + 1) / n
    for k in (1, 2, 8, 100):
        share = i**k - (i - 1 / n) ** k
        share = share[share > 0]
        assert kl_bound(k) == pytest.approx(float((share * np.log(share * n)).sum()), abs=1e-3)
        assert kl_bound(k) <= math.log(k)


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        (np.zeros((2, 0)), "scores: .* with at least one candidate, got"),
        (np.zeros(3), "scores: expected the shape"),
        (np.array([[1, np.nan]]), "scores: expected finite numbers, got 1 that are not"),
    ],
)
def test_bad_scores(scores, problem):
    with pytest.raises(ArgumentError, match=problem):
        expected_best(scores)


def test_other_bad_input():
    with pytest.raises(ArgumentError, match="k: expected an integer of at least 1, got 0"):
        kl_bound(0)
    with pytest.raises(ArgumentError, match=r"judged: expected the shape .* of scores, got"):
        chosen_value(np.zeros((1, 3)), np.zeros((1, 2)))
