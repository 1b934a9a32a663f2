"""Exact tests and intervals of paired differences: under "no difference" the sign of each group's difference is a coin.

Fisher's randomisation test with random signs (Fisher, "The Design of Experiments", 1935, section 21), and the interval
that it implies, from means over subsets of the groups (Hartigan, "Using subsample values as typical values", JASA 64,
1969). Both hold for any number of groups if the differences are symmetric about their centre, as they are between
systems that cannot be told apart; neither needs a normal distribution.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ENUMERATED = 12  # groups up to which all 2**n signs are used; beyond, random ones
NORMAL = 500  # groups from which the sum of signed differences is taken for normal
TOLERANCE = 1e-9  # equal statistics differ by rounding


class SignFlips:
    """Signs for a number of groups: all of them up to 12 groups, else the observed ones and `draws` random rows.

    With random rows a p-value that counts the observed row is valid for any number of draws (Phipson and Smyth,
    "Permutation p-values should never be zero", 2010).

    Args:
        groups: number of groups, at least 1.
        draws: number of random rows.
        seed: of the draws.
    """

    def __init__(self, groups: int, draws: int, seed: int) -> None:
        self.signs: Array | None = None  # (rows, groups), the first all 1
        if groups <= ENUMERATED:
            bits = np.arange(2**groups)[:, None] >> np.arange(groups) & 1
            self.signs = (1 - 2 * bits).astype(np.float64)
        elif groups <= NORMAL:
            random = np.random.default_rng(seed).integers(0, 2, (draws, groups)) * 2.0 - 1.0
            self.signs = np.concatenate([np.ones((1, groups)), random])

    def p(self, differences: Array) -> float:
        """Return the two-sided p-value of "no difference" for the differences (groups,).

        Example:
            >>> SignFlips(6, 0, 0).p(np.array([1.0, 2.0, 0.5, 1.5, 2.5, 1.0]))
            0.03125
        """
        if self.signs is None:
            size = float(np.sqrt((differences**2).sum()))
            return math.erfc(abs(float(differences.sum())) / size / math.sqrt(2)) if size else 1.0
        sums = np.abs(self.signs @ differences)
        return float((sums >= sums[0] - TOLERANCE * (1 + sums[0])).mean())

    def interval(self, differences: Array, level: float) -> tuple[float, float]:
        """Return the interval of the mean difference: all shifts that the test does not reject at 1 − `level`.

        It is infinite where there are too few groups for any p-value to be that small.

        Example:
            >>> SignFlips(6, 0, 0).interval(np.array([1.0, 2.0, 0.5, 1.5, 2.5, 1.0]), 0.95)
            (0.5, 2.5)
        """
        if self.signs is None:
            half = NormalDist().inv_cdf((1 + level) / 2) * float(differences.std(ddof=1)) / math.sqrt(len(differences))
            return float(differences.mean()) - half, float(differences.mean()) + half
        outside = math.floor((1 - level) / 2 * len(self.signs) + 1e-9)
        if outside < 1:
            return -math.inf, math.inf
        chosen = self.signs < 0
        size = chosen.sum(axis=1)
        means = np.sort((chosen @ differences)[size > 0] / size[size > 0])
        return float(means[outside - 1]), float(means[-outside])


def fewest_groups(alpha: float) -> int:
    """Return the smallest number of groups whose test can reach a p-value of `alpha`.

    >>> fewest_groups(0.05)
    6
    """
    return 1 + math.ceil(-math.log2(alpha) - 1e-12)


def smallest_shown(spread: float, groups: int, alpha: float, power: float = 0.8) -> float:
    """Return the difference that a test at `alpha` finds with probability `power`.

    For normal differences of standard deviation `spread` between groups. Where only the smallest p-value of the exact
    test is small enough, all differences must have one sign; else, the test has nearly the power of the t-test
    (noncentral t distribution) at the largest p-value that it can have below `alpha`.
    """
    from scipy import optimize, stats

    if spread == 0:
        return 0.0
    free, steps = groups - 1, 2.0 ** min(groups - 1, 40)  # a p-value of the exact test is a multiple of 1/steps
    if 1 <= alpha * steps + 1e-9 < 2:
        return spread * NormalDist().inv_cdf(power ** (1 / groups))
    alpha = max(math.floor(alpha * steps + 1e-9), 1) / steps
    critical = float(stats.t.isf(alpha / 2, free))

    def lacking(effect: float) -> float:
        return float(stats.nct.sf(critical, free, effect * math.sqrt(groups))) - power

    most = 4 * (critical + 4) / math.sqrt(groups)
    while lacking(most) < 0:
        most *= 2
    return spread * float(optimize.brentq(lacking, 0.0, most, xtol=1e-6))
