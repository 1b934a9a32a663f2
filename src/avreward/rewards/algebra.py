"""Arithmetic on rewards: weighted sums and products, kept flat, so that the expression shows every weight."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from avreward.rewards.base import Reward

EPSILON = sys.float_info.epsilon
ROUNDING = 4  # units in the last place of what cancels


class WeightedSum(Reward):
    """``weight*part + … + constant``.

    A part that occurs twice is one part with the sum of the weights; a weight may come out as zero, and the part then
    still counts among what the clip must have.

    Args:
        parts: (weight, reward) pairs; the rewards are no weighted sums themselves.
        constant: added to each clip's value.
    """

    def __init__(self, parts: Sequence[tuple[float, Reward]], constant: float = 0.0) -> None:
        for value in (constant, *(weight for weight, _ in parts)):
            if not math.isfinite(value):
                raise ValueError(f"a reward can't be weighed or shifted by {value}; use a finite number")
        self.parts, self.constant = tuple(parts), constant
        check_names(self.children)

    @property
    def children(self) -> tuple[Reward, ...]:
        """The parts, without their weights."""
        return tuple(part for _, part in self.parts)

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, in the order of the expression."""
        (weight, part), *rest = self.parts
        total = weight * part.compute(columns)
        for weight, part in rest:
            total = total + weight * part.compute(columns)
        return total + self.constant

    def __repr__(self) -> str:
        signed = [(weight, _weighed(weight, part)) for weight, part in self.parts]
        if self.constant:
            signed.append((self.constant, number(abs(self.constant))))
        (first, text), *rest = signed
        return ("-" if first < 0 else "") + text + "".join(f" {'-' if w < 0 else '+'} {t}" for w, t in rest)


class Product(Reward):
    """``factor*factor*…``.

    Args:
        factors: two or more rewards; none is a product, or a multiple of a single reward: `product` sees to that.
    """

    def __init__(self, factors: Sequence[Reward]) -> None:
        self.factors = tuple(factors)
        check_names(self.factors)

    @property
    def children(self) -> tuple[Reward, ...]:
        """The factors."""
        return self.factors

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The product, in the order of the expression."""
        first, *rest = (factor.compute(columns) for factor in self.factors)
        return math.prod(rest, start=first)

    def __repr__(self) -> str:
        return "*".join(f"({factor!r})" if isinstance(factor, WeightedSum) else repr(factor) for factor in self.factors)


def weighted_sum(pairs: Sequence[tuple[float, Any]]) -> Reward:
    """The sum of ``weight * what``, where `what` is a reward or a number; sums within are opened and parts merged.

    Returns `NotImplemented` where `what` is neither, as Python's operators want it.
    """
    weights: dict[Reward, float] = {}
    sizes: dict[Reward, float] = {}
    constant = 0.0
    for weight, what in pairs:
        if isinstance(what, Real):
            constant += weight * float(what)
            continue
        if not isinstance(what, Reward):
            return NotImplemented
        inner = what.parts if isinstance(what, WeightedSum) else ((1.0, what),)
        constant += weight * what.constant if isinstance(what, WeightedSum) else 0.0
        for own, part in inner:
            weights[part] = weights.get(part, 0.0) + weight * own
            sizes[part] = sizes.get(part, 0.0) + abs(weight * own)
    return WeightedSum([(_settled(weight, sizes[part]), part) for part, weight in weights.items()], constant)


def _settled(weight: float, size: float) -> float:
    """A weight, or 0 where it is but the rounding of weights of `size` in all that cancel: 0.1 + 0.2 - 0.3."""
    return 0.0 if abs(weight) <= ROUNDING * EPSILON * size < math.inf else weight


def same_for_all(reward: Reward) -> bool:
    """Whether the weights cancel, or are all zero, so that every clip has the same value.

    >>> same_for_all(0 * rater["overall"]), same_for_all(rater["overall"] - rater["clipping"])
    (True, False)
    """
    if isinstance(reward, WeightedSum):
        return all(not weight or same_for_all(part) for weight, part in reward.parts)
    if isinstance(reward, Product) and any(_is_zero(factor) for factor in reward.factors):
        return True
    return bool(reward.children) and all(same_for_all(child) for child in reward.children)


def _is_zero(reward: Reward) -> bool:
    return isinstance(reward, WeightedSum) and not reward.constant and not any(w for w, _ in reward.parts)


def product(*rewards: Reward) -> Reward:
    """The product of rewards. Products within are opened, and the weights of single rewards stand before all."""
    weight, factors = 1.0, list[Reward]()
    for reward in rewards:
        if isinstance(reward, WeightedSum) and len(reward.parts) == 1 and not reward.constant:
            [(own, reward)] = reward.parts
            weight *= own
        factors += reward.factors if isinstance(reward, Product) else (reward,)
    whole = Product(factors)
    return whole if weight == 1 else weighted_sum([(weight, whole)])


def number(value: float) -> str:
    """The shortest digits that read back as `value`: ``2``, ``0.4``, ``1e-07``."""
    return repr(float(value)).removesuffix(".0")


def check_names(rewards: Sequence[Reward]) -> None:
    """Raises `ValueError` where one name stands for two raters: scores or gradients could not be told apart."""
    seen: dict[str, object] = {}
    for rater in (rater for reward in rewards for rater in reward.raters):
        identity = rater.fingerprint, {d.name: d.streams for d in rater.dimensions}
        if seen.setdefault(rater.name, identity) != identity:
            raise ValueError(f"two different raters are called {rater.name!r}; set another .name on one of them")


def _weighed(weight: float, part: Reward) -> str:
    """A part with the size of its weight before it, if that isn't 1."""
    # Read from the left, 2*(a + b)*c is (2*a + 2*b)*c: equal in value, and another expression.
    opens = weight != 1 and isinstance(part, Product) and isinstance(part.factors[0], WeightedSum)
    text = f"({part!r})" if opens else repr(part)
    return text if abs(weight) == 1 else f"{number(abs(weight))}*{text}"
