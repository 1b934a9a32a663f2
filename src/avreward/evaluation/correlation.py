"""Rank and linear correlation of scores with human judgments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from avreward.errors import ArgumentError, Described

Numbers: TypeAlias = Tensor | NDArray[Any] | Sequence[float]


def srcc(scores: Numbers, truth: Numbers) -> float:
    """Return Spearman's rank correlation, in [-1, 1]: the linear correlation of the ranks; equal values share a rank.

    Spearman, "The proof and measurement of association between two things", Am. J. Psychology 15, 1904.

    Args:
        scores: (items,), at least two.
        truth: (items,), in the same order.

    Returns:
        The correlation; NaN if either is constant.

    Raises:
        ArgumentError: for other shapes and for values that are not finite.

    Example:
        >>> srcc([1.0, 2.0, 3.0], [10.0, 1000.0, 500.0])
        0.5
    """
    return _correlation(stats.spearmanr, scores, truth)


def plcc(scores: Numbers, truth: Numbers) -> float:
    """Return Pearson's linear correlation, in [-1, 1]: the covariance over the product of the standard deviations.

    Pearson, "Regression, heredity, and panmixia", Phil. Trans. R. Soc. A 187, 1896. Unlike in some papers, no curve is
    fitted first. Arguments, NaN and errors are those of `srcc`.

    Example:
        >>> round(plcc([1.0, 2.0, 3.0], [2.0, 4.0, 9.0]), 4)
        0.9707
    """
    return _correlation(stats.pearsonr, scores, truth)


def krcc(scores: Numbers, truth: Numbers) -> float:
    """Return Kendall's rank correlation tau-b, in [-1, 1]: concordant minus discordant pairs, corrected for ties.

    Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945. Arguments, NaN and errors are as
    in `srcc`.

    Example:
        >>> round(krcc([1.0, 2.0, 3.0], [10.0, 1000.0, 500.0]), 4)
        0.3333
    """
    return _correlation(stats.kendalltau, scores, truth)


def _correlation(formula: Callable[..., Any], scores: Numbers, truth: Numbers) -> float:
    first, second = numbers_of("scores", scores), numbers_of("truth", truth)
    if len(first) != len(second):
        raise ArgumentError("truth", f"one value a score ({len(first)})", Described(f"{len(second)} values"))
    if len(first) < 2:
        raise ArgumentError("scores", "at least two values", Described(str(len(first))))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(formula(first, second).statistic)


def numbers_of(name: str, numbers: Numbers | Sequence[int]) -> NDArray[np.float64]:
    """Return values (items,) of the argument `name`; `ArgumentError` for other shapes or values not finite."""
    plain = numbers.detach().double().cpu().numpy() if isinstance(numbers, Tensor) else numbers
    values = np.asarray(plain, dtype=np.float64)
    if values.ndim != 1:
        raise ArgumentError(name, "one value an item, shape (items,)", Described(f"shape {values.shape}"))
    bad = int((~np.isfinite(values)).sum())
    if bad:
        got = Described(f"{bad} of {len(values)} values that are not")
        raise ArgumentError(name, "finite values", got, "leave missing items out of both arguments")
    return values
