"""The k that are good and unlike each other."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.rewards.results import Rewards
from avreward.selection._best_of_n import select
from avreward.selection.diverse import diverse_top_k


def ranking(values, terms=None):
    rewards = torch.tensor(values)
    present = ~rewards.isnan()
    reasons = [None if there else "no sound" for there in present]
    return select(
        [Clip(prompt=str(i)) for i in range(len(values))],
        Rewards(rewards, present, reasons, terms or {}, [()] * len(values), {}),
    )


def points(values):
    at = torch.tensor(values, dtype=torch.float64)
    return (at[:, None] - at[None]).abs()


def test_twins_of_the_best_are_passed_over():
    place = points([0.0, 0.01, 0.02, 5.0, 9.0])
    picked = ranking([3.0, 2.9, 2.8, 2.0, 1.0])
    assert diverse_top_k(picked, 3, 0.0, place) == (0, 1, 2)
    assert diverse_top_k(picked, 3, 0.7, place) == (0, 4, 3)
    assert set(diverse_top_k(picked, 3, 1.0, place)) == {0, 3, 4}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8, unique=True), st.data())
def test_each_step_is_the_best_that_is_left(pairs, data):
    picked = ranking([float(r) for r, _ in pairs])
    apart = points([float(at) for _, at in pairs])
    weight, k = data.draw(st.sampled_from([0.0, 0.3, 1.0])), data.draw(st.integers(1, len(pairs)))
    found = diverse_top_k(picked, k, weight, apart)
    assert len(set(found)) == k
    assert found[0] == picked.best_index
    n = len(pairs)
    mean = float(apart.sum()) / (n * (n - 1)) if n > 1 and float(apart.sum()) else 1.0
    values = picked.rewards.values.double()
    spread = float(values.std()) + 1e-4 if n > 1 else 1.0
    for step in range(1, k):
        worth = {
            i: (1 - weight) * float(values[i]) / spread + weight * min(float(apart[i, j]) for j in found[:step]) / mean
            for i in range(n)
            if i not in found[:step]
        }
        assert worth[found[step]] == pytest.approx(max(worth.values()), abs=1e-6)


def test_distances_by_the_scores_of_the_reward():
    terms = {"a": torch.tensor([1.0, 1.0, 5.0, 3.0]), "b": torch.tensor([2.0, 2.0, 9.0, 4.0])}
    assert diverse_top_k(ranking([3.0, 2.9, 1.0, 2.0], terms), 2, 0.8) == (0, 2)


def test_candidates_without_a_reward_are_never_chosen():
    nan = float("nan")
    apart = points([0.0, 50.0, 1.0])
    for weight, k in itertools.product((0.0, 1.0), (1, 2)):
        assert 1 not in diverse_top_k(ranking([1.0, nan, 2.0]), k, weight, apart)


def test_equal_candidates_come_in_the_order_of_the_ranking():
    assert diverse_top_k(ranking([1.0, 1.0, 1.0]), 3, 0.5, torch.zeros(3, 3)) == (0, 1, 2)


@pytest.mark.parametrize(
    ("k", "options", "problem"),
    [
        (0, {}, "k: expected 1 to 2, the number of ranked candidates, got 0"),
        (3, {}, "k: expected 1 to 2, .*, got 3"),
        (1, {"diversity": 1.5}, "diversity: expected a number from 0 to 1, got 1.5"),
        (1, {}, "distances: expected a tensor, as the ranking has no scores"),
        (
            1,
            {"distances": torch.zeros(3, 3)},
            "distances: expected a tensor of shape .*2, 2.*, got a Tensor of shape .*3, 3",
        ),
        (1, {"distances": -torch.ones(2, 2)}, "distances: .* got some that are negative"),
    ],
)
def test_bad_input(k, options, problem):
    with pytest.raises(ArgumentError, match=problem):
        diverse_top_k(ranking([1.0, 2.0]), k, **options)
