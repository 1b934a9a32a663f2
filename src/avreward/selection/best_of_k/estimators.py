"""Exact estimators of the value of best-of-k, from n scored candidates per prompt.

All functions take scores (prompts, n) and average over all ways of drawing k of the n candidates without replacement.
These are unbiased estimates for k fresh samples, for every k ≤ n, with less variance than the maximum of one draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError, Described

Table = NDArray[np.float64]


def expected_best(scores: Table) -> Table:
    """Return the mean of the maximum of k of the n candidates, (prompts, n) for k = 1 … n.

    E_k = Σᵢ C(i−1, k−1)/C(n, k) · x₍ᵢ₎ over the sorted scores x₍₁₎ ≤ … ≤ x₍ₙ₎: the i-th is the maximum of as many
    draws as there are choices of the k − 1 others below it. This is the estimator of pass@k (Chen et al.,
    arXiv:2107.03374, equation 1), for numbers instead of passes.

    Args:
        scores: (prompts, n), finite.

    Raises:
        ArgumentError: if the shape is wrong or a score is not finite.

    Example:
        >>> expected_best(np.array([[1.0, 2.0, 4.0]]))
        array([[2.33333333, 3.33333333, 4.        ]])
    """
    return chosen_value(scores, scores)


def chosen_value(scores: Table, judged: Table) -> Table:
    """Return the mean second score of the candidate that is best by `scores` among k of the n.

    Of equal scores the earliest in a draw is chosen, so each of them is chosen equally often.

    Args:
        scores: (prompts, n), finite; the score to choose by.
        judged: (prompts, n), the second score.

    Returns:
        (prompts, n) for k = 1 … n.

    Raises:
        ArgumentError: if a shape is wrong or a score is not finite.

    Example:
        >>> chosen_value(np.array([[1.0, 2.0, 4.0]]), np.array([[0.0, 9.0, 3.0]]))
        array([[4., 5., 3.]])
    """
    _check(scores)
    if judged.shape != scores.shape:
        raise ArgumentError("judged", f"the shape {scores.shape} of scores", Described(str(judged.shape)))
    order = np.argsort(scores, axis=1, kind="stable")
    ranked, values = np.take_along_axis(scores, order, 1), np.take_along_axis(judged, order, 1)
    if judged is not scores:
        values = _mean_of_equals(ranked, values)
    means = [values @ weights for weights in _weights(scores.shape[1])]
    found = np.stack(means, axis=1)
    equal = (values == values[:, :1]).all(axis=1)
    found[equal] = values[equal, :1]  # exact, so that a gain is exactly 0
    return found


def win_rate(scores: Table) -> Table:
    """Return the probability that the best of k beats one more candidate, with a tie as half a win.

    It is k/(k + 1) if all scores differ, and less if some are equal. If m of a draw of k + 1 are at its maximum, the
    additional candidate wins in 1 of k + 1 cases for m = 1, and ties in m of k + 1 otherwise.

    Args:
        scores: (prompts, n), finite.

    Returns:
        (prompts, n − 1) for k = 1 … n − 1.

    Raises:
        ArgumentError: if the shape is wrong or a score is not finite.
    """
    _check(scores)
    prompts, n = scores.shape
    ranked = np.sort(scores, axis=1)
    below = np.stack([np.searchsorted(row, row, "left") for row in ranked])
    upto = np.stack([np.searchsorted(row, row, "right") for row in ranked])
    rates = np.empty((prompts, n - 1))
    for k in range(1, n):
        # C(b, k)/C(n, k + 1): of draws of k + 1 with a given candidate, the share whose others are among b
        share = np.array([math.exp(_log_choose(b, k) - _log_choose(n, k + 1)) for b in range(n)])
        alone, any_number = share[below].sum(axis=1), share[upto - 1].sum(axis=1)
        rates[:, k - 1] = 1 - (alone + any_number) / (2 * (k + 1))
    return rates.round(12)  # removes rounding errors of the logarithms, so that 1/2 is exact


def kl_bound(k: int) -> float:
    """Return log k − (k − 1)/k in nats, a bound on the Kullback–Leibler divergence of best-of-k from one sample.

    It is exact for a continuous score of one prompt, and an upper bound otherwise (Beirami et al., "Theoretical
    guarantees on the best-of-n alignment policy", arXiv:2401.01879).

    Args:
        k: number of candidates, at least 1.

    Raises:
        ArgumentError: if `k` is below 1.

    Example:
        >>> kl_bound(1), round(kl_bound(8), 3)
        (0.0, 1.204)
    """
    if k < 1:
        raise ArgumentError("k", "an integer of at least 1", k)
    return math.log(k) - (k - 1) / k


def _weights(n: int) -> Iterator[NDArray[np.float64]]:
    """Yield, for k = 1 … n, how often each of n sorted candidates is the maximum of k: (n,) with sum 1."""
    i = np.arange(1, n + 1)
    weights = np.full(n, 1 / n)
    yield weights
    for k in range(1, n):  # C(i−1, k)/C(n, k+1) from C(i−1, k−1)/C(n, k)
        weights = weights * np.maximum(i - k, 0) / k * ((k + 1) / (n - k))
        weights /= weights.sum()  # corrects rounding, so that the best of all n is exactly the maximum
        yield weights


def _mean_of_equals(ranked: Table, values: Table) -> Table:
    """Return `values` with those of equal `ranked` replaced by their mean, row by row."""
    starts = np.ones_like(ranked, dtype=bool)
    starts[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    label = np.cumsum(starts.ravel()) - 1
    mean = np.bincount(label, values.ravel()) / np.bincount(label)
    return mean[label].reshape(values.shape)


def _log_choose(n: int, k: int) -> float:
    if k > n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _check(scores: Table) -> None:
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ArgumentError(
            "scores", "the shape (prompts, candidates) with at least one candidate", Described(str(scores.shape))
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise ArgumentError(
            "scores", "finite numbers", Described(f"{bad} that are not"), "leave out candidates without a score"
        )
