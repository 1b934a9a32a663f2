"""Correlations against their definitions, written out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.errors import ArgumentError
from avreward.evaluation.correlation import krcc, plcc, srcc

PAIRS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=12).filter(
    lambda pairs: all(len(set(side)) > 1 for side in zip(*pairs, strict=True))
)


def brute_plcc(first: list[float], second: list[float]) -> float:
    means = sum(first) / len(first), sum(second) / len(second)
    x, y = [v - means[0] for v in first], [v - means[1] for v in second]
    return sum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def ranks(values: list[float]) -> list[float]:
    return [sum(other < v for other in values) + (sum(other == v for other in values) + 1) / 2 for v in values]


def brute_krcc(first: list[float], second: list[float]) -> float:
    signs = [
        (np.sign(first[i] - first[j]), np.sign(second[i] - second[j])) for i, j in combinations(range(len(first)), 2)
    ]
    untied = math.prod(sum(pair[side] != 0 for pair in signs) for side in (0, 1))
    return float(sum(a * b for a, b in signs)) / math.sqrt(untied)


@given(PAIRS)
def test_against_the_definitions(pairs: list[tuple[int, int]]) -> None:
    first, second = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    assert plcc(first, second) == pytest.approx(brute_plcc(first, second), abs=1e-9)
    assert srcc(first, second) == pytest.approx(brute_plcc(ranks(first), ranks(second)), abs=1e-9)
    assert krcc(first, second) == pytest.approx(brute_krcc(first, second), abs=1e-9)


def test_a_table_by_hand() -> None:
    first, second = [1, 2, 3, 4, 5], [3, 4, 1, 2, 5]
    assert krcc(first, second) == pytest.approx((6 - 4) / 10)  # concordant and discordant pairs, of ten
    assert srcc(first, second) == pytest.approx(1 - 6 * (4 + 4 + 4 + 4 + 0) / (5 * 24))  # Spearman's own formula


@pytest.mark.parametrize("measure", [srcc, plcc, krcc])
def test_what_all_share(measure: type) -> None:
    rising = torch.linspace(0, 1, 20)
    assert measure(rising, rising.numpy()) == pytest.approx(1)
    assert measure(rising.requires_grad_(), (-rising).tolist()) == pytest.approx(-1)
    assert isinstance(measure(np.arange(3), [1, 5, 2]), float)
    assert math.isnan(measure([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    with pytest.raises(ArgumentError, match=r"^truth: expected one value a score \(3\), got 2 values"):
        measure([1, 2, 3], [1, 2])
    with pytest.raises(ArgumentError, match=r"^scores: expected at least two values, got 1"):
        measure([1], [2])
    with pytest.raises(ArgumentError, match=r"^truth: expected finite values, got 1 of 2 values that are not; leave"):
        measure([1, 2], [1, float("nan")])
    with pytest.raises(ArgumentError, match=r"^scores: expected one value an item.*, got shape \(1, 2\)"):
        measure([[1, 2]], [1, 2])
