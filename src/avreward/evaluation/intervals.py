"""Confidence intervals of measured shares."""

from __future__ import annotations

from math import sqrt

from avreward.errors import ArgumentError


def wilson(successes: float, trials: float, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson interval (low, high), within [0, 1], of the share of `successes` in `trials`.

    It holds all shares p with ``|successes/trials − p| ≤ z·√(p(1 − p)/trials)``. Wilson, "Probable inference, the
    law of succession, and statistical inference", JASA 22, 1927. It is (0, 1) for no trials.

    Args:
        successes: from 0 to `trials`.
        trials: number of independent trials, 0 or more; an effective number may be a fraction.
        z: normal quantile; 1.96 for 95 %.

    Raises:
        ArgumentError: if `successes` is negative or larger than `trials`.

    Example:
        >>> low, high = wilson(9, 10)
        >>> round(low, 3), round(high, 3)
        (0.596, 0.982)
    """
    if not 0 <= successes <= trials:
        raise ArgumentError("successes", f"a number from 0 to trials ({trials})", successes)
    if trials == 0:
        return 0.0, 1.0
    share, spread = successes / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / trials + spread / (4 * trials))
    # At the ends the exact bound is 0 or 1; rounding may miss it slightly.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == trials else middle + half)
