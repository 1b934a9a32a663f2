"""Which comparison tells most about an order, and when the order is known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from scipy.stats import norm

from avreward.errors import ArgumentError
from avreward.preferences.comparisons import TIE, count

SPREAD, NARROWEST, WIDEST = 3.0, 0.3, 10.0  # standard deviation of strengths: before any vote, and its bounds
ROUNDS, STEPS, CLOSE, LONGEST = 5, 50, 1e-7, 2.0  # of the fit: of the spread, and Newton's
CERTAINTY = 0.95
ALIKE = 0.6  # share of wins below which a difference doesn't matter
LEAST = 1e-6  # standard error of a difference

Floats = NDArray[np.float64]
Indices = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class KnownOrder:
    """What votes say about the order of some items, after the Bradley–Terry model with a normal prior.

    Attributes:
        items: in the order in which they were passed.
        values: float64 (items,) the most likely strengths; their mean is 0.
        covariance: float64 (items, items) of the values.
        certainty: the probability from which on something counts as known.
        spread: standard deviation of the prior, estimated from the votes.
    """

    items: tuple[Hashable, ...]
    values: Floats
    covariance: Floats
    certainty: float = CERTAINTY
    spread: float = SPREAD

    @property
    def order(self) -> tuple[Hashable, ...]:
        """The items, best first."""
        return tuple(self.items[i] for i in self._best_first())

    def interval(self) -> tuple[Floats, Floats]:
        """Return the lower and upper end (items,) of each value's interval at `certainty`."""
        half = float(norm.ppf(0.5 + self.certainty / 2)) * np.sqrt(self.covariance.diagonal())
        return self.values - half, self.values + half

    def settled(self) -> list[bool]:
        """Return for each two neighbours of the order, best first, whether they are known to differ, or to be alike.

        They differ if the better one is better with a probability of at least `certainty`. They are alike if, with that
        probability, neither would win more than 60 % of the comparisons.
        """
        found = self._best_first()
        gap, error = self._difference(found[:-1], found[1:])
        edge = np.log(ALIKE / (1 - ALIKE))
        differ = ndtr(gap / error) >= self.certainty
        alike = ndtr((edge - gap) / error) - ndtr((-edge - gap) / error) >= self.certainty
        return [bool(one) for one in differ | alike]

    @property
    def share(self) -> float:
        """Share of neighbours that are settled; at 1 the order is known."""
        found = self.settled()
        return sum(found) / len(found)

    def regret(self, first: Indices, second: Indices) -> Floats:
        """Return for pairs by how much the one that looks worse is expected to be better: σφ(d/σ) − |d|Φ(−|d|/σ).

        It is largest where a comparison can change the order most.
        """
        gap, error = self._difference(first, second)
        ratio = np.abs(gap) / error
        return error * np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi) - np.abs(gap) * ndtr(-ratio)

    def worth_asking(self) -> dict[tuple[int, int], float]:
        """Return the pairs (indices) that a vote still tells something about → how much.

        First of all, these are the neighbours that are not settled. Any other pair that may be in the wrong order with
        a probability above 1 − `certainty` follows, for those who compared the neighbours already. None, once all
        neighbours are settled.
        """
        settled = self.settled()
        if all(settled):
            return {}
        found = np.array(self._best_first())
        upper, lower = np.triu_indices(len(found), 1)
        one, other = found[upper], found[lower]
        gap, error = self._difference(one, other)
        regret = self.regret(one, other)
        near = lower == upper + 1
        worth = np.where(near, 1 + regret, np.minimum(1, regret))
        open_ = np.where(near, ~np.array([*settled, True])[upper], ndtr(gap / error) < self.certainty)
        return {
            (int(i), int(j)): float(value) for i, j, value in zip(one[open_], other[open_], worth[open_], strict=True)
        }

    def _best_first(self) -> list[int]:
        return sorted(range(len(self.items)), key=lambda i: -self.values[i])

    def _difference(self, first: Indices, second: Indices) -> tuple[Floats, Floats]:
        i, j = np.asarray(first), np.asarray(second)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2 * self.covariance[i, j]
        return self.values[i] - self.values[j], np.sqrt(np.maximum(variance, LEAST**2))


def known_order(
    items: Sequence[Hashable],
    first: Sequence[Hashable] = (),
    second: Sequence[Hashable] = (),
    outcome: Sequence[float] = (),
    certainty: float = CERTAINTY,
) -> KnownOrder:
    """Return what comparisons say about the order of `items`: a Bradley–Terry fit whose prior is estimated as well.

    Strengths are normal around 0; the standard deviation is estimated from the votes (empirical Bayes, by EM). Such
    intervals hold also where the votes so far decided what was asked next and when to stop; those of maximum likelihood
    are then too far out. A tie counts as half a win for each.

    Args:
        items: names of everything that is compared, two or more.
        first: the first item of each comparison.
        second: the second item of each comparison.
        outcome: of each comparison, 1 if the first won, 0.5 for a tie, 0 if the second won.
        certainty: the probability from which on something counts as known.

    Raises:
        ArgumentError: if an argument is wrong.

    Example:
        >>> found = known_order("abc", "aab" * 20, "bcc" * 20, [1, 1, 1] * 20)
        >>> found.order, found.share
        (('a', 'b', 'c'), 1.0)
        >>> known_order("abc").share
        0.0
    """
    if not 0.5 < certainty < 1:
        raise ArgumentError("certainty", "a probability between 0.5 and 1", certainty)
    compared = count(items, first, second, outcome)
    wins = np.zeros((len(items), len(items)))
    for one, other, tie, times in zip(
        compared.first.tolist(), compared.second.tolist(), compared.tie.tolist(), compared.count.tolist(), strict=True
    ):
        wins[one, other] += times * (TIE if tie else 1)
        wins[other, one] += times * (TIE if tie else 0)
    values, covariance, spread = np.zeros(len(items)), np.zeros_like(wins), SPREAD
    for _ in range(ROUNDS if wins.any() else 0):
        values, covariance = _fitted(wins, values, spread)
        size = float(values @ values + np.trace(covariance)) / (len(items) - 1)
        spread = float(np.clip(np.sqrt(size), NARROWEST, WIDEST))
    values, covariance = _fitted(wins, values, spread)
    return KnownOrder(tuple(items), values, covariance, certainty, spread)


def _fitted(wins: Floats, values: Floats, spread: float) -> tuple[Floats, Floats]:
    """Return the mode of the posterior and the covariance there, among strengths that sum to 0 (Newton's method)."""
    asked, size = wins + wins.T, len(wins)
    centre = np.eye(size) - 1 / size
    for _ in range(STEPS):
        chance = expit(values[:, None] - values[None])
        weight = asked * chance * (1 - chance)
        information = np.diag(weight.sum(1) + spread**-2) - weight
        step = np.linalg.solve(information, (wins - asked * chance).sum(1) - values / spread**2)
        values = values + np.clip(step, -LONGEST, LONGEST)
        if np.abs(step).max() < CLOSE:
            break
    return values - values.mean(), centre @ np.linalg.inv(information) @ centre
