"""Arithmetic on rewards: weighted sums and products, flattened so that the expression shows every weight."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.rewards.base import Reward

EPSILON = sys.float_info.epsilon
ROUNDING = 4  # units in the last place: smaller remainders of cancelled weights are rounding errors


class WeightedSum(Reward):
    """``weight*part + … + constant``.

    A part that occurs twice becomes one part with the sum of the weights. A part whose weight becomes zero stays: the
    clip must still have its score.

    Args:
        parts: (weight, reward) pairs; none of the rewards is itself a weighted sum.
        constant: added to each clip's value.

    Raises:
        ArgumentError: if a number isn't finite, or two different raters share a name.
    """

    def __init__(self, parts: Sequence[tuple[float, Reward]], constant: float = 0.0) -> None:
        for name, value in (("constant", constant), *(("weight", weight) for weight, _ in parts)):
            if not math.isfinite(value):
                raise ArgumentError(name, "a finite number to scale or shift a reward by", value)
        self.parts, self.constant = tuple(parts), constant
        check_names(self.children)

    @property
    def children(self) -> tuple[Reward, ...]:
        """The parts, without their weights."""
        return tuple(part for _, part in self.parts)

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum, added in the order of the expression."""
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
        factors: two or more rewards; none is a product or a multiple of a single reward (`product` ensures this).

    Raises:
        ArgumentError: if two different raters share a name.
    """

    def __init__(self, factors: Sequence[Reward]) -> None:
        self.factors = tuple(factors)
        check_names(self.factors)

    @property
    def children(self) -> tuple[Reward, ...]:
        """The factors."""
        return self.factors

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Return the product, multiplied in the order of the expression."""
        first, *rest = (factor.compute(columns) for factor in self.factors)
        return math.prod(rest, start=first)

    def __repr__(self) -> str:
        return "*".join(f"({factor!r})" if isinstance(factor, WeightedSum) else repr(factor) for factor in self.factors)


def weighted_sum(pairs: Sequence[tuple[float, Any]]) -> Reward:
    """Return the sum of ``weight * value`` over pairs; nested sums are flattened and equal parts merged.

    Each value is a reward or a number. For anything else the result is `NotImplemented`, as Python's operators expect.
    """
    weights: dict[Reward, float] = {}
    sizes: dict[Reward, float] = {}
    constant = 0.0
    for weight, value in pairs:
        if isinstance(value, Real):
            constant += weight * float(value)
            continue
        if not isinstance(value, Reward):
            return NotImplemented
        inner = value.parts if isinstance(value, WeightedSum) else ((1.0, value),)
        constant += weight * value.constant if isinstance(value, WeightedSum) else 0.0
        for own, part in inner:
            weights[part] = weights.get(part, 0.0) + weight * own
            sizes[part] = sizes.get(part, 0.0) + abs(weight * own)
    return WeightedSum([(_settled(weight, sizes[part]), part) for part, weight in weights.items()], constant)


def _settled(weight: float, size: float) -> float:
    """Return the weight, or 0 if it is only a rounding error of cancelled weights of total `size`: 0.1 + 0.2 - 0.3."""
    return 0.0 if abs(weight) <= ROUNDING * EPSILON * size < math.inf else weight


def same_for_all(reward: Reward) -> bool:
    """Return whether the weights cancel or are all zero, so that every clip gets the same value.

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
    """Return the product of rewards; nested products are flattened and weights of single rewards moved to the front."""
    weight, factors = 1.0, list[Reward]()
    for reward in rewards:
        if isinstance(reward, WeightedSum) and len(reward.parts) == 1 and not reward.constant:
            [(own, reward)] = reward.parts
            weight *= own
        factors += reward.factors if isinstance(reward, Product) else (reward,)
    unweighted = Product(factors)
    return unweighted if weight == 1 else weighted_sum([(weight, unweighted)])


def number(value: float) -> str:
    """Return the shortest digits that read back as `value`: ``2``, ``0.4``, ``1e-07``."""
    return repr(float(value)).removesuffix(".0")


def check_names(rewards: Sequence[Reward]) -> None:
    """Raise `ArgumentError` if two different raters share a name, which would confuse their scores or gradients."""
    seen: dict[str, object] = {}
    for rater in (rater for reward in rewards for rater in reward.raters):
        identity = rater.fingerprint, {d.name: d.streams for d in rater.dimensions}
        if seen.setdefault(rater.name, identity) != identity:
            got = Described("two different ones")
            raise ArgumentError("raters", f"one rater named {rater.name!r}", got, "set another .name on one of them")


def _weighed(weight: float, part: Reward) -> str:
    """Return a part as text, preceded by the absolute value of its weight unless that is 1."""
    # Parsed from the left, 2*(a + b)*c is (2*a + 2*b)*c: the same value, but a different expression.
    opens = weight != 1 and isinstance(part, Product) and isinstance(part.factors[0], WeightedSum)
    text = f"({part!r})" if opens else repr(part)
    return text if abs(weight) == 1 else f"{number(abs(weight))}*{text}"
