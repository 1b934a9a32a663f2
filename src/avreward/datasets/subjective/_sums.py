"""Means and spreads of ratings by clip or by person."""

from __future__ import annotations

import numpy as np

from avreward.datasets.subjective.ratings import Floats, Whole


def counts(at: Whole, size: int) -> Floats:
    """Return how many entries each index in `at` has, as numbers (size,)."""
    return np.bincount(at, minlength=size).astype(np.float64)


def means(values: Floats, at: Whole, size: int, weights: Floats | None = None) -> Floats:
    """Return the mean of the values with each index in `at`, (size,); NaN where there are none."""
    given = np.ones_like(values) if weights is None else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(at, values * given, size) / np.bincount(at, given, size)


def spreads(values: Floats, at: Whole, size: int, less: int = 0) -> Floats:
    """Return the standard deviation of the values with each index, with `less` = 1 for that of a sample.

    Where all values are equal it is 0 exactly, although their mean is rounded.
    """
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, at, values)
    np.maximum.at(high, at, values)
    away = values - means(values, at, size)[at]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.sqrt(np.bincount(at, away**2, size) / (counts(at, size) - less))
    return np.where((low == high) & np.isfinite(found), 0.0, found)
