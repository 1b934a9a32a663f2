"""Best-of-N with an N that depends on the rewards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from avreward.errors import ArgumentError, Described
from avreward.generators.base import Noise
from avreward.selection.search._loop import SearchLoop
from avreward.selection.search._settings import check_at_least, check_integers

PRICE = 0.1  # of a standard deviation


@dataclass(frozen=True)
class AdaptiveN:
    """Best-of-N that stops when the expected gain of one more candidate falls below its price.

    Args:
        price: of one candidate, in units of the reward. Default: a tenth of the rewards' standard deviation.
        least: the smallest number of candidates; at least 3, to estimate the spread of the rewards.
        most: the largest number of candidates.
    """

    price: float | None = None
    least: int = 4
    most: int = 32

    def __post_init__(self) -> None:
        check_integers(3, least=self.least)
        check_integers(self.least, most=self.most)
        check_at_least(0, price=0 if self.price is None else self.price)

    @property
    def total(self) -> None:
        """`None`, since the number depends on the rewards."""

    def __call__(self, loop: SearchLoop) -> None:
        """Generate batches until one more candidate is not worth its price."""
        rewards: list[float] = []
        made = 0
        while made < self.most:
            count = self.least if made == 0 else min(loop.batch_size, self.most - made)
            noises = [Noise.of(loop.seed + made + i) for i in range(count)]
            rewards += [c.reward for c in loop.make(noises) if c.reward is not None]
            made += count
            if len(rewards) >= 3:
                price = PRICE * stdev(rewards) if self.price is None else self.price
                if expected_gain(rewards) <= price:
                    return


def expected_gain(rewards: Sequence[float]) -> float:
    """Return by how much one more candidate is expected to raise the best reward.

    For rewards from a normal distribution of unknown mean and variance (with an uninformative prior) the next one
    follows Student's t with n - 1 degrees of freedom, centred at the mean and scaled by ``s * sqrt(1 + 1/n)``.

    Args:
        rewards: so far; at least 3, as the expectation does not exist for fewer.

    Raises:
        ArgumentError: if there are fewer than 3 rewards.

    Example:
        >>> round(expected_gain([0.0, 1.0, 2.0, 3.0]), 3)
        0.304
    """
    from scipy.stats import t

    n = len(rewards)
    if n < 3:
        raise ArgumentError("rewards", "at least 3", Described(str(n)))
    scale = stdev(rewards) * math.sqrt(1 + 1 / n)
    if scale == 0:
        return 0.0
    z, freedom = (max(rewards) - fmean(rewards)) / scale, n - 1
    gain = (freedom + z**2) / (freedom - 1) * float(t.pdf(z, freedom)) - z * float(t.sf(z, freedom))
    return scale * max(0.0, gain)
