"""Arithmetic on rewards: weighted sums, kept flat, so that the expression shows every weight."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from torch import Tensor

from avreward.rewards.base import Reward, Term


class WeightedSum(Reward):
    """``weight*part + … + constant``.

    A part that occurs twice is one part with the sum of the weights; a weight may come out as zero, and the part then
    still counts among what the clip must have.

    Args:
        parts: (weight, reward) pairs; the rewards are no weighted sums themselves.
        constant: added to each clip's value.
    """

    def __init__(self, parts: Sequence[tuple[float, Reward]], constant: float = 0.0) -> None:
        for number in (constant, *(weight for weight, _ in parts)):
            if not math.isfinite(number):
                raise ValueError(f"a reward can't be weighed or shifted by {number}; use a finite number")
        self.parts, self.constant = tuple(parts), constant
        _check_names([term for _, part in self.parts for term in part.terms])

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of all parts, each once."""
        return tuple({term.name: term for _, part in self.parts for term in part.terms}.values())

    def compute(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, in the order of the expression."""
        (weight, part), *rest = self.parts
        total = weight * part.compute(columns)
        for weight, part in rest:
            total = total + weight * part.compute(columns)
        return total + self.constant

    def __repr__(self) -> str:
        signed = [(weight, f"{_times(weight)}{part!r}") for weight, part in self.parts]
        if self.constant:
            signed.append((self.constant, _number(abs(self.constant))))
        (first, text), *rest = signed
        return ("-" if first < 0 else "") + text + "".join(f" {'-' if w < 0 else '+'} {t}" for w, t in rest)


def weighted_sum(pairs: Sequence[tuple[float, Any]]) -> Reward:
    """The sum of ``weight * what``, where `what` is a reward or a number; sums within are opened and parts merged.

    Returns `NotImplemented` where `what` is neither, as Python's operators want it.
    """
    weights: dict[Reward, float] = {}
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
    return WeightedSum([(weight, part) for part, weight in weights.items()], constant)


def _number(value: float) -> str:
    """The shortest digits that read back as `value`: ``2``, ``0.4``, ``1e-07``."""
    return repr(value).removesuffix(".0")


def _times(weight: float) -> str:
    """What stands before a part: nothing for 1 and -1."""
    return "" if abs(weight) == 1 else f"{_number(abs(weight))}*"


def _check_names(terms: Sequence[Term]) -> None:
    """Raises `ValueError` where one name stands for two raters: their scores could not be told apart."""
    seen: dict[str, str] = {}
    for term in terms:
        if seen.setdefault(term.rater.name, term.rater.fingerprint) != term.rater.fingerprint:
            raise ValueError(f"two different raters are called {term.rater.name!r}; set another .name on one of them")
