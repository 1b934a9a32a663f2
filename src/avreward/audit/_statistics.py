"""Differences between the rewards of degenerate inputs and of real clips, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = Sequence[float | None]
Verdict = Literal["beats", "sometimes", "never", "unseen", "missing"]
FEWEST = 5  # clips, below which a bootstrap interval means nothing
DRAWS = 2000
SAME = 1e-9  # relative to the larger of 1 and the value: differences by rounding


@dataclass(frozen=True)
class Difference:
    """A difference of rewards.

    Attributes:
        value: in the reward's unit.
        low, high: its 95 % interval; `None` for too few clips.
        sds: `value` in standard deviations of the real clips' rewards; `None` if those are all equal.
        clips: the number of clips.
    """

    value: float
    low: float | None
    high: float | None
    sds: float | None
    clips: int


def median_difference(values: Values, real: Values, seed: int = 0) -> Difference | None:
    """Return the median of `values` minus the median of `real`, over the clips that have both; `None` without one.

    The interval is the percentile bootstrap over clips (Efron 1979), which keeps a clip's two rewards together.

    Args:
        values: one a clip; `None` where missing.
        real: rewards of the real clips, in the same order; `None` where missing.
        seed: of the resampling.

    Example:
        >>> median_difference([3.0, None, 5.0], [1.0, 2.0, 3.0])
        Difference(value=2.0, low=None, high=None, sds=2.0, clips=2)
    """
    both = np.stack([_array(values), _array(real)])
    both = both[:, ~np.isnan(both).any(0)]
    count = both.shape[1]
    if count == 0:
        return None
    low = high = None
    if count >= FEWEST:
        drawn = np.median(both[:, np.random.default_rng(seed).integers(0, count, (DRAWS, count))], -1)  # (2, draws)
        low, high = (float(x) for x in np.quantile(drawn[0] - drawn[1], (0.025, 0.975)))
    value = float(np.median(both[0]) - np.median(both[1]))
    return Difference(value, low, high, in_sds(value, real), count)


def mean_difference(values: Values, own: Values, real: Values | None = None) -> Difference | None:
    """Return the mean of `values` − `own` over the clips, with Student's interval; `None` if no clip has both.

    `real` are the rewards whose standard deviation is the unit of `sds` (*optional*, `own`).

    Example:
        >>> mean_difference([3.0, None, 5.0], [1.0, 2.0, 4.0]).value
        1.5
    """
    pairs = _array(values) - _array(own)
    pairs = pairs[~np.isnan(pairs)]
    if len(pairs) == 0:
        return None
    value = float(pairs.mean())
    low = high = None
    if len(pairs) > 1:
        half = float(stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / math.sqrt(len(pairs)))
        low, high = value - half, value + half
    return Difference(value, low, high, in_sds(value, own if real is None else real), len(pairs))


def in_sds(value: float, real: Values) -> float | None:
    """Return `value` in standard deviations of the `real` rewards; `None` for fewer than two, or if all are equal."""
    spread = sd(real)
    return None if spread is None or spread == 0 else value / spread


def sd(values: Values) -> float | None:
    """Return the standard deviation (n − 1) of the values that are not missing; `None` for fewer than two."""
    there = [value for value in values if value is not None]
    return float(np.std(there, ddof=1)) if len(there) > 1 else None


def median(values: Values) -> float | None:
    """Return the median of the values that are not missing; `None` if all are."""
    there = [value for value in values if value is not None]
    return float(np.median(there)) if there else None


def count_above(values: Values, real: Values) -> int:
    """Count `values` above the median `real` reward, over the clips that have both."""
    limit = median(_same(values, real))
    return sum(value is not None and limit is not None and value > limit for value in values)


def verdict_of(values: Values, real: Values) -> Verdict:
    """Return the verdict on a degenerate input, over the clips that have both rewards.

    ``"missing"``: it never has a reward. ``"unseen"``: its reward always equals the real clip's. ``"beats"``: its
    median is above the median real reward. ``"sometimes"``: single values are above it. ``"never"``: none is.
    """
    pairs = [(value, mine) for value, mine in zip(values, real, strict=True) if value is not None and mine is not None]
    if not pairs:
        return "missing"
    if all(math.isclose(value, mine, rel_tol=SAME, abs_tol=SAME) for value, mine in pairs):
        return "unseen"
    middle, limit = (float(np.median(side)) for side in zip(*pairs, strict=True))
    return "beats" if middle > limit else "sometimes" if count_above(values, real) else "never"


def _same(values: Values, real: Values) -> list[float | None]:
    """Return the `real` rewards of the clips whose value is not missing."""
    return [mine for value, mine in zip(values, real, strict=True) if value is not None]


def _array(values: Values) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
