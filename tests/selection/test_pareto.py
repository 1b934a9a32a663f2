"""Pareto fronts against the definition, directions of dimensions, and candidates that lack a score."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avreward.errors import ArgumentError, UnknownNameError
from avreward.raters.scores import Dimension, Scores
from avreward.rewards.results import MissingScore
from avreward.selection._pareto import fronts_of, pareto_front

DIMENSIONS = (
    Dimension("quality", 0, 10, frozenset({"video"})),
    Dimension("noise", 0, 10, frozenset({"video"}), higher_is_better=False),
    Dimension("loudness", -60, 0, frozenset({"audio"}), higher_is_better=None),
    Dimension("detail", 0, 1, frozenset({"video"}), detail=True),
)


def scores(rows):
    values = torch.tensor(rows, dtype=torch.float32)
    present = ~values.isnan()
    reasons = [
        {d.name: "the clip is silent" for d, there in zip(DIMENSIONS, row, strict=True) if not there} for row in present
    ]
    return Scores(values, present, reasons, DIMENSIONS)


def dominates(one, other):
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


@given(
    st.integers(1, 4).flatmap(
        lambda d: arrays(np.float64, st.tuples(st.integers(1, 12), st.just(d)), elements=st.integers(0, 3).map(float))
    )
)
def test_as_the_definition_says(values):
    rest, expected = list(range(len(values))), []
    while rest:
        front = [i for i in rest if not any(dominates(values[j], values[i]) for j in rest)]
        expected.append(front)
        rest = [i for i in rest if i not in front]
    assert fronts_of(values) == expected


def test_directions_and_missing_scores():
    nan = float("nan")
    found = pareto_front("abcde", scores([[5, 5, 0, 0], [5, 1, 0, 9], [9, 5, 0, 0], [nan, 0, 0, 0], [4, 4, 0, 0]]))
    assert found.dimensions == ("quality", "noise")
    assert found.front == (1, 2)  # less noise is better
    assert found.fronts[1:] == ((0, 4),)
    assert found.missing == {3: "quality: the clip is silent"}
    assert pareto_front("abcde", scores([[5, 5, 0, 0]] * 5), ["noise"]).front == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("candidates", "dimensions", "error", "problem"),
    [
        ("", None, ArgumentError, "candidates: expected at least one, got none"),
        ("ab", None, ArgumentError, "scores: expected one row for each of 2 candidates, got 1"),
        ("a", ["loudness"], ArgumentError, "dimensions: .* got loudness; leave them out"),
        ("a", [], ArgumentError, "dimensions: expected at least one .*, got none"),
        ("a", ["speed"], UnknownNameError, "dimension: expected one of .*, got 'speed'"),
        ("a", ["quality"], MissingScore, r"a \(clip 0\): quality: the clip is silent"),
    ],
)
def test_bad_input(candidates, dimensions, error, problem):
    with pytest.raises(error, match=problem):
        pareto_front(candidates, scores([[float("nan"), 1, 1, 1]]), dimensions)
