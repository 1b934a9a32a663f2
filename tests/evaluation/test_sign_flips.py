"""Sign flips: p-values and intervals against a brute-force search, their inversion, and the power formula."""

import itertools
import math

import numpy as np
import pytest

from avreward.evaluation._sign_flips import NORMAL, SignFlips, fewest_groups, smallest_shown


def searched(differences):
    """The two-sided p-value by trying all signs."""
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=len(differences))]
    return np.mean([one >= abs(sum(differences)) - 1e-9 for one in sums])


@pytest.mark.parametrize("groups", [1, 2, 5, 8])
def test_p_is_that_of_all_signs(groups):
    rng = np.random.default_rng(groups)
    for differences in (rng.normal(size=groups), rng.integers(-1, 2, groups).astype(float), np.zeros(groups)):
        assert SignFlips(groups, 99, 0).p(differences) == pytest.approx(searched(differences))


def test_random_signs_are_near_all_signs_and_count_the_observed_ones():
    differences = np.random.default_rng(0).normal(0.4, 1, 14)
    assert SignFlips(14, 20_000, 0).p(differences) == pytest.approx(searched(differences), abs=0.01)
    assert SignFlips(14, 99, 0).p(np.ones(14)) == 0.01  # never 0


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("groups", [7, 9])
def test_the_interval_holds_what_the_test_does_not_reject(groups, level):
    differences = np.random.default_rng(3).exponential(size=groups)
    low, high = SignFlips(groups, 99, 0).interval(differences, level)
    for inside in np.linspace(low + 1e-6, high - 1e-6, 9):
        assert searched(differences - inside) > 1 - level
    for outside in (low - 1e-6, high + 1e-6, low - 1, high + 1):
        assert searched(differences - outside) <= 1 - level


def test_too_few_groups_have_no_end():
    assert SignFlips(5, 99, 0).interval(np.arange(5.0), 0.95) == (-math.inf, math.inf)
    assert SignFlips(6, 99, 0).interval(np.arange(6.0), 0.95) == (0, 5)
    assert [fewest_groups(alpha) for alpha in (0.5, 0.05, 1 / 32, 0.03)] == [2, 6, 6, 7]


def test_many_groups_are_normal():
    differences = np.random.default_rng(0).normal(0.05, 1, NORMAL + 1)
    many = SignFlips(NORMAL + 1, 99, 0)
    low, high = many.interval(differences, 0.95)
    half = 1.959964 * differences.std(ddof=1) / math.sqrt(NORMAL + 1)
    assert (low, high) == pytest.approx((differences.mean() - half, differences.mean() + half))
    assert (many.p(differences) < 0.05) == (low > 0)
    assert many.p(differences * 0) == 1


def test_the_smallest_difference_has_the_power_that_it_states():
    rng = np.random.default_rng(1)
    flips, smallest = SignFlips(10, 99, 0), smallest_shown(2.0, 10, 0.05)
    shown = np.mean([flips.p(rng.normal(smallest, 2.0, 10)) <= 0.05 for _ in range(600)])
    assert shown == pytest.approx(0.8, abs=0.05)
    few, seven = SignFlips(7, 99, 0), smallest_shown(2.0, 7, 0.02)  # all of one sign: 1/64 is the only such p-value
    assert np.mean([few.p(rng.normal(seven, 2.0, 7)) <= 0.02 for _ in range(600)]) == pytest.approx(0.8, abs=0.05)
    assert smallest_shown(2.0, 40, 0.05) < smallest / 1.9
    assert smallest_shown(2.0, 10, 0.005) > smallest
    assert smallest_shown(0.0, 10, 0.05) == 0
