"""Tests of whether a risk is above a bound, for rules that are tried in an order fixed beforehand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MOST = 2**53  # groups; more are not told apart as floats


def risk_p_value(losses: NDArray[np.float64], risk: float, *, yes_or_no: bool) -> float:
    """Return a p-value of "the mean loss is above `risk`", from independent losses in [0, 1].

    Exact for losses that can only be 0 and 1: P(Binomial(n, risk) ≤ Σ loss), the test behind Clopper and Pearson's
    bound (Biometrika 26, 1934). Otherwise the smaller of Hoeffding's and Bentkus's bounds, as in Bates et al.,
    "Distribution-free, risk-controlling prediction sets", JACM 68, 2021, section 3.1.

    Args:
        losses: (n,), at least one.
        risk: between 0 and 1.
        yes_or_no: whether a loss can only be 0 or 1; known beforehand, since a test chosen by the losses proves less.

    Example:
        >>> round(risk_p_value(np.zeros(29), 0.1, yes_or_no=True), 3)
        0.047
    """
    count, mean = len(losses), float(losses.mean())
    if yes_or_no:
        return float(stats.binom.cdf(round(float(losses.sum())), count, risk))
    if mean >= risk:
        return 1.0
    apart = (1 - mean) * math.log((1 - mean) / (1 - risk)) + (mean * math.log(mean / risk) if mean > 0 else 0.0)
    return min(math.exp(-count * apart), math.e * float(stats.binom.cdf(math.ceil(count * mean), count, risk)))


def fewest_groups(risk: float, confidence: float) -> int:
    """Return how many groups without any loss it takes to show a risk.

    Example:
        >>> fewest_groups(0.1, 0.95)
        29
    """
    return math.ceil(min(math.log1p(-confidence) / math.log1p(-risk), MOST))
