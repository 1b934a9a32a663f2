"""Best-of-N that decides itself how large N is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from avreward.generators.base import Noise
from avreward.selection.search._loop import SearchLoop, at_least, whole

PRICE = 0.1  # of a standard deviation


@dataclass(frozen=True)
class AdaptiveN:
    """Independent candidates until the expected gain of one more falls under its price.

    Args:
        price: of one candidate, in units of the reward; by default a tenth of the rewards' standard deviation.
        least: candidates made in any case; at least 3, since two don't tell how far rewards spread.
        most: candidates made at most.
    """

    price: float | None = None
    least: int = 4
    most: int = 32

    def __post_init__(self) -> None:
        whole(3, least=self.least)
        whole(self.least, most=self.most)
        at_least(0, price=0 if self.price is None else self.price)

    @property
    def total(self) -> None:
        """Not known before."""

    def __call__(self, loop: SearchLoop) -> None:
        """One batch after the other."""
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
    """How much one more candidate would raise the best reward, in expectation.

    For rewards from a normal distribution of unknown mean and variance (and a prior that says nothing of them) the next
    one follows Student's t with n - 1 degrees of freedom, at the mean, scaled by ``s * sqrt(1 + 1/n)``.

    Raises `ValueError` for fewer than 3 rewards, where the expectation doesn't exist.

    >>> round(expected_gain([0.0, 1.0, 2.0, 3.0]), 3)
    0.304
    """
    from scipy.stats import t

    n = len(rewards)
    if n < 3:
        raise ValueError(f"rewards: {n} are too few; give at least 3")
    scale = stdev(rewards) * math.sqrt(1 + 1 / n)
    if scale == 0:
        return 0.0
    z, freedom = (max(rewards) - fmean(rewards)) / scale, n - 1
    gain = (freedom + z**2) / (freedom - 1) * float(t.pdf(z, freedom)) - z * float(t.sf(z, freedom))
    return scale * max(0.0, gain)
