"""Curves from raw scores to mean opinion scores: a line, and the logistic of VQEG."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described


class Calibration(ABC):
    """A monotone curve from raw scores to the scale [low, high] of mean opinion scores; a frozen dataclass."""

    kind: ClassVar[str]
    low: float
    high: float

    @abstractmethod
    def __call__(self, scores: Tensor) -> Tensor:
        """Return opinion scores for scores of any shape, differentiably."""

    @abstractmethod
    def slope(self, scores: Tensor) -> Tensor:
        """Return the derivative at the scores."""

    @property
    @abstractmethod
    def rising(self) -> bool:
        """Whether higher scores mean higher opinion scores."""

    @property
    def state(self) -> dict[str, Tensor]:
        """The parameters in the saved form: kind → numbers (n,)."""
        return {self.kind: torch.tensor(astuple(self), dtype=torch.float64)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Linear(Calibration):
    """The line ``a·x + b``. It is unbounded: a score far from those it was fitted on leaves the scale.

    >>> Linear(a=0.04, b=1.0, low=1.0, high=5.0)(torch.tensor([0.0, 50.0, 110.0]))
    tensor([1.0000, 3.0000, 5.4000])
    """

    kind = "linear"
    a: float
    b: float
    low: float
    high: float

    def __call__(self, scores: Tensor) -> Tensor:
        """Return a·x + b."""
        return self.a * scores + self.b

    def slope(self, scores: Tensor) -> Tensor:
        """Return a for each score."""
        return torch.full_like(scores, self.a)

    @property
    def rising(self) -> bool:
        """Whether a is positive."""
        return self.a > 0


@dataclass(frozen=True)
class Logistic(Calibration):
    """``(β₁ − β₂)/(1 + exp(−(x − β₃)/|β₄|)) + β₂``, the four-parameter logistic of VQEG.

    From the Video Quality Experts Group's "Final report on the validation of objective models of video quality
    assessment" (2000), in the form of Seshadrinathan et al., IEEE Transactions on Image Processing 19(6), 2010. It goes
    from β₂ to β₁ around β₃ within a few |β₄| and is flat beyond, without a gradient: optimise the raw score and report
    this one.

    >>> Logistic(5.0, 1.0, 50.0, 10.0, low=1.0, high=5.0)(torch.tensor([0.0, 50.0, 110.0]))
    tensor([1.0268, 3.0000, 4.9901])
    """

    kind = "logistic"
    beta1: float
    beta2: float
    beta3: float
    beta4: float
    low: float
    high: float

    def __call__(self, scores: Tensor) -> Tensor:
        """Return the curve's value."""
        return (self.beta1 - self.beta2) * self._share(scores) + self.beta2

    def slope(self, scores: Tensor) -> Tensor:
        """Return (β₁ − β₂)/|β₄| · s(1 − s), with s the logistic step."""
        share = self._share(scores)
        return (self.beta1 - self.beta2) / abs(self.beta4) * share * (1 - share)

    @property
    def rising(self) -> bool:
        """Whether β₁ is above β₂."""
        return self.beta1 > self.beta2

    def _share(self, scores: Tensor) -> Tensor:
        return torch.sigmoid((scores - self.beta3) / abs(self.beta4))


KINDS: Mapping[str, type[Linear] | type[Logistic]] = MappingProxyType({"linear": Linear, "logistic": Logistic})


def calibration_from(state: Mapping[str, Tensor]) -> Calibration:
    """Return the curve of a saved `state`.

    Raises:
        ArgumentError: for anything that is not the state of a curve.
    """
    [(kind, numbers)] = state.items() if len(state) == 1 else [("", torch.zeros(0))]
    if kind not in KINDS:
        got = Described(", ".join(sorted(state)) or "nothing")
        raise ArgumentError("state", f"a {' or '.join(KINDS)} curve", got, "fit it again")
    wanted = [part.name for part in fields(KINDS[kind])]
    if numbers.shape != (len(wanted),):
        raise ArgumentError(f"state of {kind}", f"{len(wanted)} numbers ({', '.join(wanted)})", numbers.tolist())
    if not numbers.isfinite().all():
        raise ArgumentError(f"state of {kind}", "finite numbers", numbers.tolist())
    return KINDS[kind](*numbers.tolist())
