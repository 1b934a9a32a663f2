"""Bradley–Terry strengths from shares of wins, with intervals over groups."""

from __future__ import annotations

import numpy as np
from scipy import stats

from avreward.evaluation._sign_flips import Array

STEPS, CLOSE = 50, 1e-9
PRIOR = 0.5  # wins that each system of a pair is given, so that one that always won has a finite strength


def win_strengths(wins: Array, level: float) -> tuple[Array, Array, Array]:
    """Return the strengths (systems,), which sum to 0, and the ends of their intervals.

    A strength is a logarithm of odds: one system beats another with probability 1/(1 + exp(−difference)) (Bradley and
    Terry, Biometrika 39, 1952). `fit_strengths` of `avreward.preferences` takes single outcomes as independent; here
    each group is one observation, however many clips and comparisons it has. The intervals are those of a jackknife
    over groups, and never narrower than independent groups would make them.

    Args:
        wins: (groups, systems, systems) the share of comparisons in which the row beats the column, ties as half; NaN
            where a group lacks one of them. The systems are connected by comparisons.
        level: of the intervals.
    """
    groups, systems, _ = wins.shape
    shares = np.nan_to_num(wins)
    total = shares.sum(axis=0)
    met = (total + total.T > 0) & ~np.eye(systems, dtype=bool)
    counts = np.concatenate([total[None], total - shares]) + PRIOR * met
    fitted, variance = _fit(counts)
    best, without = fitted[0], fitted[1:]
    spread = variance
    if groups > 1:
        spread = np.maximum(spread, (groups - 1) / groups * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    half = stats.t.isf((1 - level) / 2, max(groups - 1, 1)) * np.sqrt(spread)
    return best, best - half, best + half


def _fit(counts: Array) -> tuple[Array, Array]:
    """Return strengths (fits, systems) for wins (fits, systems, systems), and the variance of the first fit's.

    Newton's method with steps of at most 1, on a concave likelihood.
    """
    systems = counts.shape[1]
    compared = counts + counts.transpose(0, 2, 1)
    at = np.zeros(counts.shape[:2])
    level = np.full((systems, systems), 1.0 / systems)  # keeps the sum, on which nothing depends
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(at[:, None, :] - at[:, :, None]))  # of the row over the column
        slope = (counts - compared * chance).sum(axis=2)
        weight = compared * chance * (1 - chance)
        information = np.eye(systems) * weight.sum(axis=2)[:, :, None] - weight + level
        step = np.linalg.solve(information, slope[..., None])[..., 0]
        at = at + step / np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True))
        if np.abs(step).max() < CLOSE:
            break
    inverse = np.linalg.inv(information[0]) - level
    at = at - at.mean(axis=1, keepdims=True)
    at[np.abs(at) < CLOSE] = 0.0  # equal strengths, to within the steps
    return at, np.maximum(inverse.diagonal(), 0.0)
