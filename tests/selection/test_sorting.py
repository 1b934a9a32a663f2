"""Sorting by a judge who errs: the stated error holds in simulations, and the repeats are the fewest that reach it."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avreward.errors import ArgumentError
from avreward.selection._sorting import merge_sort, repeats_needed, sorting_error


@given(st.lists(st.integers(0, 9), max_size=40))
def test_sorts_stably_within_the_stated_comparisons(values):
    order, asked = merge_sort(len(values), lambda pairs: [values[j] > values[i] for i, j in pairs])
    assert order == sorted(range(len(values)), key=lambda i: -values[i])
    levels = math.ceil(math.log2(len(values))) if len(values) > 1 else 0
    assert asked <= len(values) * levels


def test_merges_of_a_level_are_asked_together():
    sizes = []

    def better(pairs):
        sizes.append(len(pairs))
        return [j > i for i, j in pairs]

    order, asked = merge_sort(16, better)
    assert order == list(range(15, -1, -1))
    assert sizes[0] == 8
    assert sum(sizes) == asked


@pytest.mark.parametrize(
    ("n", "accuracy", "repeats"), [(8, 0.8, 1), (8, 0.8, 5), (5, 0.65, 9), (16, 0.9, 3), (2, 0.7, 1)]
)
def test_the_stated_error_holds(n, accuracy, repeats):
    """The best loses each comparison with 1 − accuracy; all other answers are coin flips, the worst that can happen."""
    rng = random.Random(n + repeats)
    trials, missed = 3000, 0
    for _ in range(trials):
        best = rng.randrange(n)

        def vote(i, j, best=best):
            right = rng.random() < accuracy
            return rng.random() < 0.5 if best not in (i, j) else right == (j == best)

        def better(pairs, vote=vote):
            return [sum(vote(i, j) for _ in range(repeats)) > repeats / 2 for i, j in pairs]

        missed += merge_sort(n, better)[0][0] != best
    bound = sorting_error(n, accuracy, repeats)
    assert missed / trials <= bound + 3 * math.sqrt(bound * (1 - bound) / trials)
    if bound < 0.5:  # it is a bound, and not a vacuous one: the union over levels is nearly exact for rare errors
        assert missed / trials > 0.5 * bound


@pytest.mark.parametrize("accuracy", [0.55, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_the_fewest_repeats(n, accuracy):
    found = repeats_needed(n, accuracy, 0.05)
    assert found % 2 == 1
    assert sorting_error(n, accuracy, found) <= 0.05
    if found > 1:
        assert sorting_error(n, accuracy, found - 2) > 0.05


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: sorting_error(8, 0.5), "accuracy: expected a probability above one half, got 0.5"),
        (lambda: sorting_error(0, 0.9), "candidates: expected an integer of at least 1, got 0"),
        (lambda: sorting_error(8, 0.9, 0), "repeats: expected an integer of at least 1, got 0"),
        (lambda: repeats_needed(8, 0.9, 0.0), "error: expected a probability above 0 and below 1, got 0"),
        (lambda: repeats_needed(8, 0.5 + 1e-6), "accuracy: expected one for which 100000 repeats are enough"),
    ],
)
def test_bad_input(call, problem):
    with pytest.raises(ArgumentError, match=problem):
        call()
