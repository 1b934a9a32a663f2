"""By how much degenerate inputs differ from real clips, and how sure that is."""

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
FEWEST = 5  # clips, below which resampling them says nothing
DRAWS = 2000
SAME = 1e-9  # of the larger of 1 and the value: rounding, no difference


@dataclass(frozen=True)
class Difference:
    """A difference of rewards.

    Attributes:
        value: in the reward's unit.
        low, high: its 95 % interval; `None` where there are too few clips.
        sds: `value` in standard deviations of the real clips' rewards; `None` where they don't spread.
        clips: how many took part.
    """

    value: float
    low: float | None
    high: float | None
    sds: float | None
    clips: int


def median_difference(values: Values, real: Values, seed: int = 0) -> Difference | None:
    """Median of `values` less median of `real`, over the clips that have both; `None` where none has.

    The interval is the percentile bootstrap over clips (Efron 1979), in which a clip's two rewards stay together.

    Args:
        values, real: one a clip, in the same order; `None` where missing.
        seed: of the resampling.

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
    """Mean of `values` − `own`, clip by clip, with Student's interval; `None` where no clip has both.

    `real` are the rewards whose standard deviation is the measure (*optional*, `own`).

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
    """`value` in standard deviations of the `real` rewards; `None` for fewer than two, or where all are equal."""
    spread = sd(real)
    return None if spread is None or spread == 0 else value / spread


def sd(values: Values) -> float | None:
    """Standard deviation (n − 1) of those that are there; `None` for fewer than two."""
    there = [value for value in values if value is not None]
    return float(np.std(there, ddof=1)) if len(there) > 1 else None


def median(values: Values) -> float | None:
    """Median of those that are there; `None` where there is none."""
    there = [value for value in values if value is not None]
    return float(np.median(there)) if there else None


def count_above(values: Values, real: Values) -> int:
    """How many of `values` are above the median of the `real` rewards of the clips that have both."""
    limit = median(_same(values, real))
    return sum(value is not None and limit is not None and value > limit for value in values)


def verdict_of(values: Values, real: Values) -> Verdict:
    """What became of a degenerate input made of real clips, of which those count that have both rewards.

    ``"missing"``: it never has a reward. ``"unseen"``: it has exactly the real clip's, each time. ``"beats"``: its
    median is above the median real one. ``"sometimes"``: single ones are. ``"never"``: none is.
    """
    pairs = [(value, mine) for value, mine in zip(values, real, strict=True) if value is not None and mine is not None]
    if not pairs:
        return "missing"
    if all(math.isclose(value, mine, rel_tol=SAME, abs_tol=SAME) for value, mine in pairs):
        return "unseen"
    middle, limit = (float(np.median(side)) for side in zip(*pairs, strict=True))
    return "beats" if middle > limit else "sometimes" if count_above(values, real) else "never"


def _same(values: Values, real: Values) -> list[float | None]:
    """The `real` rewards of the clips that have one of `values`."""
    return [mine for value, mine in zip(values, real, strict=True) if value is not None]


def _array(values: Values) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
