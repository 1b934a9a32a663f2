"""Krippendorff's alpha against reference values and its definition; halves of people against known truth."""

from __future__ import annotations

import numpy as np
import pytest

from avreward.datasets import Ratings, krippendorff_alpha, split_half_srcc
from avreward.errors import ArgumentError


def of_counts(counts: list[list[int]], domain: list[int]) -> np.ndarray:
    rows = [[value for value, many in zip(domain, row, strict=True) for _ in range(many)] for row in counts]
    wide = max(map(len, rows))
    return np.array([row + [np.nan] * (wide - len(row)) for row in rows])


@pytest.mark.golden(case="krippendorff_alpha")
def test_golden(golden) -> None:
    for row in golden.data["rows"]:
        known = "data" in row
        data = np.array(row["data"], dtype=float).T if known else of_counts(row["value_counts"], row["value_domain"])
        if isinstance(row["alpha"], float):
            golden.close(krippendorff_alpha(data, row["level"]), row["alpha"], atol=1e-9)
        else:  # all that can be compared is equal
            with pytest.raises(ArgumentError):
                krippendorff_alpha(data, row["level"])


def test_random_ratings_agree_as_by_chance() -> None:
    table = np.random.default_rng(0).integers(1, 6, (3000, 4))
    assert abs(krippendorff_alpha(table, "ordinal")) < 0.03


def test_alpha_is_undefined_where_all_is_equal() -> None:
    with pytest.raises(ArgumentError, match="alpha is undefined if all are equal"):
        krippendorff_alpha([[2, 2], [2, 2]])
    with pytest.raises(ArgumentError, match="at least two clips with two ratings, got 0"):
        krippendorff_alpha([[1, np.nan], [np.nan, 2]])
    with pytest.raises(ArgumentError, match="did you mean 'interval'"):
        krippendorff_alpha([[1, 2], [2, 1]], "intervals")


def test_halves_agree_as_the_noise_allows() -> None:
    """The correlation of two means of n ratings with noise s, about a quality with spread 1, is 1/(1 + s²/n)."""
    generator = np.random.default_rng(0)
    table = generator.normal(0, 1, 2000)[:, None] + generator.normal(0, 1.5, (2000, 12))
    found = split_half_srcc(Ratings.from_array(table))
    assert len(found.values) == 10
    linear = 1 / (1 + 1.5**2 / 6)
    assert found.mean == pytest.approx(6 / np.pi * np.arcsin(linear / 2), abs=0.02)  # of ranks, for normal values
    assert found == split_half_srcc(Ratings.from_array(table))
    assert found != split_half_srcc(Ratings.from_array(table), seed=1)


def test_halves_that_cannot_be_compared() -> None:
    with pytest.raises(ArgumentError, match="at least two people, got 1"):
        split_half_srcc(Ratings.from_array([[1.0], [2.0]]))
    with pytest.raises(ArgumentError, match="both halves rated differently"):
        split_half_srcc(Ratings.from_array([[1.0, 1.0], [1.0, 1.0]]))
    with pytest.raises(ArgumentError, match="repetitions"):
        split_half_srcc(Ratings.from_array([[1.0, 2.0], [1.0, 1.0]]), 0)
