"""Pairwise accuracy: the reference cases, an exhaustive search, and any order of the pairs."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.errors import ArgumentError
from avreward.evaluation import pair_accuracy

PAIRS = st.lists(
    st.tuples(st.sampled_from([-1, 0, 1]), st.one_of(st.integers(-4, 4).map(float), st.floats(-2, 2))),
    min_size=1,
    max_size=30,
)


@pytest.mark.golden("items.accuracy_with_ties")
def test_golden(golden):
    tensors, (allowed,) = golden.tensors(), golden.numbers("accuracy")
    assert golden.data["items"]
    for item in golden.data["items"]:
        human, difference = (tensors[f"{kind}_{item['name']}"] for kind in ("human", "difference"))
        assert (human.tolist(), difference.tolist()) == (item["human"], item["difference"])
        for order in (range(len(human)), random.Random(0).sample(range(len(human)), len(human))):
            found = pair_accuracy(human[list(order)], difference[list(order)])
            golden.close(found.with_ties, item["accuracy_with_ties"], atol=allowed)
            if item["accuracy_without_ties"] is None:
                golden.same(found.without_ties, None)
            else:
                golden.close(found.without_ties, item["accuracy_without_ties"], atol=allowed)
            golden.same(found.threshold, item["best_threshold"])
            golden.same(found.best_thresholds, item["all_thresholds_within_best"])
            numerator, denominator = item["accuracy_with_ties_fraction"]
            assert int(found.correct.max()) * denominator == numerator * found.pairs
            bands = [None, *found.thresholds.tolist()]
            assert [list(row) for row in zip(bands, found.correct, strict=True)] == item["correct_per_threshold"]


def searched(pairs, band):
    """Correct pairs for one tie band, by the definition."""
    said = [0 if band is not None and abs(gap) <= band else (gap > 0) - (gap < 0) or None for _, gap in pairs]
    return sum(one == human for one, (human, _) in zip(said, pairs, strict=True))


@given(PAIRS, st.randoms(use_true_random=False))
def test_as_an_exhaustive_search_in_any_order(pairs, rng):
    bands = [None, *sorted({abs(gap) for _, gap in pairs})]
    counts = [searched(pairs, band) for band in bands]
    shuffled = rng.sample(pairs, len(pairs))
    found = pair_accuracy([human for human, _ in shuffled], [gap for _, gap in shuffled])
    assert found.correct.tolist() == counts
    assert found.with_ties == max(counts) / len(pairs)
    assert found.threshold == bands[counts.index(max(counts))]
    decided = [(human, gap) for human, gap in pairs if human]
    right = sum(human * gap > 0 for human, gap in decided)
    assert found.without_ties == (right / len(decided) if decided else None)


def test_many_pairs_are_no_double_loop():
    rng = np.random.default_rng(0)
    found = pair_accuracy(rng.integers(-1, 2, 300_000), rng.normal(size=300_000))
    assert len(found.thresholds) > 299_000
    assert 1 / 3 <= found.with_ties < 0.34


@pytest.mark.parametrize(
    ("human", "difference", "problem"),
    [
        ([], [], "^human: expected at least one pair, got none"),
        ([1, 0], [0.5], r"^difference: expected one value a pair \(2\), got 1 values"),
        ([1, 2], [0.5, 0.5], r"^human: expected 1 \(first\), .* for each pair, got 2"),
        ([1, 0], [0.5, float("nan")], "^difference: expected finite values, got 1 of 2 values"),
        ([1, 0], torch.zeros(2, 1), "shape"),
    ],
)
def test_bad_input(human, difference, problem):
    with pytest.raises(ArgumentError, match=problem):
        pair_accuracy(human, difference)
