"""Folds never divide a content, and a split that does is told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avreward.datasets import split_folds, warn_of_leaks
from avreward.errors import ArgumentError


@given(st.lists(st.integers(0, 12), min_size=30, max_size=80), st.integers(2, 5), st.integers(0, 9))
def test_no_content_is_in_two_folds(contents: list[int], folds: int, seed: int) -> None:
    if len(set(contents)) < folds:
        return
    found = split_folds(contents, folds, seed=seed)
    for content in set(contents):
        assert len({int(fold) for fold, one in zip(found, contents, strict=True) if one == content}) == 1
    sizes = np.bincount(found, minlength=folds)
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= max(np.bincount(contents))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_of_leaks(found.tolist(), contents) == ()


def test_folds_are_drawn() -> None:
    contents = [f"prompt {i // 4}" for i in range(100)]
    assert np.bincount(split_folds(contents)).tolist() == [20] * 5
    assert split_folds(contents).tolist() == split_folds(contents).tolist()
    assert split_folds(contents).tolist() != split_folds(contents, seed=1).tolist()


def test_a_leak_is_told() -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 contents \(3 of 4 clips\).*'rain'.*split by content"):
        assert warn_of_leaks(["train", "test", "train", "train"], ["rain", "rain", "rain", "dog"]) == ("rain",)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: split_folds(["a", "b"], 1), "at least 2"),
        (lambda: split_folds(["a", "a", "b"], 3), "at least 3 different ones, got 2"),
        (lambda: split_folds([]), "got 0"),
        (lambda: split_folds(["a", None, ""], 2), "got none for 2 of 3"),
        (lambda: warn_of_leaks(["train"], ["a", "b"]), "one part a clip"),
    ],
)
def test_wrong_arguments(call, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        call()
