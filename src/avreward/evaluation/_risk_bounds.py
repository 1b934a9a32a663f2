"""Tests of whether a risk is above a bound, for rules that are tried in an order fixed beforehand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def risk_p_value(losses: NDArray[np.float64], risk: float) -> float:
    """Return a p-value of "the mean loss is above `risk`", from independent losses in [0, 1].

    Exact for losses of 0 and 1 alone: P(Binomial(n, risk) ≤ Σ loss), the test behind Clopper and Pearson's bound
    (Biometrika 26, 1934). Otherwise the smaller of Hoeffding's and Bentkus's bounds, as in Bates et al.,
    "Distribution-free, risk-controlling prediction sets", JACM 68, 2021, section 3.1.

    Args:
        losses: (n,), at least one.
        risk: between 0 and 1.

    Example:
        >>> round(risk_p_value(np.zeros(29), 0.1), 3)
        0.047
    """
    count, mean = len(losses), float(losses.mean())
    if np.isin(losses, (0.0, 1.0)).all():
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
    return math.ceil(math.log(1 - confidence) / math.log(1 - risk))
