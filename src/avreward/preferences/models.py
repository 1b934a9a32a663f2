"""Models of pairwise outcomes: difference of two scores → probabilities of win, tie and loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError


@dataclass(frozen=True)
class BradleyTerry:
    """Bradley–Terry model without ties: the first wins with probability σ(d/scale), d = score₁ − score₂.

    Bradley and Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952. Called with differences
    (pairs,) of any sign, it returns (pairs, 3): the probabilities of win, tie and loss. Differentiable.

    Args:
        scale: a difference of `scale` wins with probability 0.73. For scores from 0 to 100, start with 10.

    Raises:
        ArgumentError: if `scale` isn't a positive number.

    Example:
        >>> BradleyTerry(scale=10)(torch.tensor([0.0, 10.0]))
        tensor([[0.5000, 0.0000, 0.5000],
                [0.7311, 0.0000, 0.2689]])
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("scale", self.scale, above=0)

    def __call__(self, difference: Tensor) -> Tensor:
        """Return the probabilities (pairs, 3) of win, tie and loss."""
        return log_bradley_terry(difference / self.scale).exp()


@dataclass(frozen=True)
class RaoKupper:
    """Rao–Kupper model with ties: the first wins with probability σ(d/scale − log θ), loses with σ(−d/scale − log θ).

    A difference below a threshold is likely a tie. Rao and Kupper, "Ties in paired-comparison experiments: a
    generalization of the Bradley–Terry model", JASA 62, 1967. θ = 1 is Bradley–Terry; equal clips tie with probability
    (θ − 1)/(θ + 1). Input and output as for `BradleyTerry`.

    Args:
        theta: θ, 1 or more.
        scale: as for `BradleyTerry`.

    Raises:
        ArgumentError: if a parameter is out of its range.

    Example:
        >>> RaoKupper(theta=3)(torch.tensor([0.0]))
        tensor([[0.2500, 0.5000, 0.2500]])
    """

    theta: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("theta", self.theta, least=1)
        _check("scale", self.scale, above=0)

    def __call__(self, difference: Tensor) -> Tensor:
        """Return the probabilities (pairs, 3) of win, tie and loss."""
        log_theta = difference.new_tensor(math.log(self.theta))
        return log_rao_kupper(difference / self.scale, log_theta).exp()


@dataclass(frozen=True)
class Davidson:
    """Davidson model with ties: win : tie : loss = √(π₁/π₂) : ν : √(π₂/π₁), with π = exp(score/scale).

    Davidson, "On extending the Bradley–Terry model to accommodate ties in paired comparison experiments", JASA 65,
    1970. ν = 0 is Bradley–Terry; for every ν, the odds of win to loss are those of Bradley–Terry. Equal clips tie with
    probability ν/(2 + ν). Input and output as for `BradleyTerry`.

    Args:
        nu: ν, 0 or more.
        scale: as for `BradleyTerry`.

    Raises:
        ArgumentError: if a parameter is out of its range.

    Example:
        >>> Davidson(nu=2)(torch.tensor([0.0]))
        tensor([[0.2500, 0.5000, 0.2500]])
    """

    nu: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("nu", self.nu, least=0)
        _check("scale", self.scale, above=0)

    def __call__(self, difference: Tensor) -> Tensor:
        """Return the probabilities (pairs, 3) of win, tie and loss."""
        log_nu = difference.new_tensor(self.nu).log()
        return log_davidson(difference / self.scale, log_nu).exp()


def log_bradley_terry(difference: Tensor) -> Tensor:
    """Return log-probabilities (pairs, 3) of win, tie (−∞) and loss, precise for large differences too."""
    never = torch.full_like(difference, -math.inf)
    return torch.stack([F.logsigmoid(difference), never, F.logsigmoid(-difference)], dim=-1)


def log_rao_kupper(difference: Tensor, log_theta: Tensor) -> Tensor:
    """Return log-probabilities (pairs, 3) of win, tie and loss; log θ ≥ 0 is one number or (pairs,)."""
    win, loss = F.logsigmoid(difference - log_theta), F.logsigmoid(-difference - log_theta)
    # tie = (θ² − 1)·win·loss, and θ² − 1 = (1 − θ⁻²)·θ²: neither logarithm overflows
    tie = torch.log(-torch.expm1(-2 * log_theta)) + 2 * log_theta + (win + loss)
    return torch.stack([win, tie, loss], dim=-1)


def log_davidson(difference: Tensor, log_nu: Tensor) -> Tensor:
    """Return log-probabilities (pairs, 3) of win, tie and loss; log ν is one number or (pairs,)."""
    logits = [difference / 2, log_nu.expand_as(difference), -difference / 2]
    # Unlike a softmax, this adds the same numbers in the same order when the two are swapped.
    total = torch.logaddexp(torch.logaddexp(logits[0], logits[2]), logits[1])
    return torch.stack(logits, dim=-1) - total[..., None]


def _check(name: str, value: float, above: float = -math.inf, least: float = -math.inf) -> None:
    if not (isinstance(value, Real) and math.isfinite(value) and value > above and value >= least):
        wanted = f"above {above}" if math.isfinite(above) else f"of {least} or more"
        raise ArgumentError(name, f"a finite number {wanted}", value)
