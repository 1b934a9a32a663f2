"""From how much better the first of two is to the probabilities that it wins, ties or loses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import AvrewardError


@dataclass(frozen=True)
class BradleyTerry:
    """No ties: the first wins with probability σ(d/scale), d being what it has more than the second.

    Bradley and Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952. Called with differences
    (pairs,) of any sign, it returns (pairs, 3): the probabilities of win, tie and loss. Differentiable.

    Args:
        scale: a difference of `scale` wins with probability 0.73. For scores from 0 to 100, 10 is a beginning.

    >>> BradleyTerry(scale=10)(torch.tensor([0.0, 10.0]))
    tensor([[0.5000, 0.0000, 0.5000],
            [0.7311, 0.0000, 0.2689]])
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("scale", self.scale, above=0)

    def __call__(self, difference: Tensor) -> Tensor:
        """Probabilities (pairs, 3) of win, tie and loss."""
        return log_bradley_terry(difference / self.scale).exp()


@dataclass(frozen=True)
class RaoKupper:
    """With ties: who isn't better by a threshold ties. The first wins with probability σ(d/scale − log θ).

    It loses with σ(−d/scale − log θ). Rao and Kupper, "Ties in paired-comparison experiments: a generalization of the
    Bradley–Terry model", JASA 62, 1967. θ = 1 is Bradley–Terry; equals tie with probability (θ − 1)/(θ + 1). In and
    out as `BradleyTerry`.

    >>> RaoKupper(theta=3)(torch.tensor([0.0]))
    tensor([[0.2500, 0.5000, 0.2500]])
    """

    theta: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("theta", self.theta, least=1)
        _check("scale", self.scale, above=0)

    def __call__(self, difference: Tensor) -> Tensor:
        """Probabilities (pairs, 3) of win, tie and loss."""
        log_theta = difference.new_tensor(math.log(self.theta))
        return log_rao_kupper(difference / self.scale, log_theta).exp()


@dataclass(frozen=True)
class Davidson:
    """With ties: win, tie and loss are as √π₁/π₂ : ν : √π₂/π₁ with π = exp(score/scale).

    Davidson, "On extending the Bradley–Terry model to accommodate ties in paired comparison experiments", JASA 65,
    1970. ν = 0 is Bradley–Terry, and whatever ν is, wins and losses have Bradley–Terry's odds; equals tie with
    probability ν/(2 + ν). In and out as `BradleyTerry`.

    >>> Davidson(nu=2)(torch.tensor([0.0]))
    tensor([[0.2500, 0.5000, 0.2500]])
    """

    nu: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("nu", self.nu, least=0)
        _check("scale", self.scale, above=0)

    def __call__(self, difference: Tensor) -> Tensor:
        """Probabilities (pairs, 3) of win, tie and loss."""
        log_nu = difference.new_tensor(self.nu).log()
        return log_davidson(difference / self.scale, log_nu).exp()


def log_bradley_terry(difference: Tensor) -> Tensor:
    """Logarithms (pairs, 3) of the probabilities of win, tie (−∞) and loss, exact far out too."""
    never = torch.full_like(difference, -math.inf)
    return torch.stack([F.logsigmoid(difference), never, F.logsigmoid(-difference)], dim=-1)


def log_rao_kupper(difference: Tensor, log_theta: Tensor) -> Tensor:
    """Logarithms (pairs, 3) as in `log_bradley_terry`; log θ ≥ 0 is one number or (pairs,)."""
    win, loss = F.logsigmoid(difference - log_theta), F.logsigmoid(-difference - log_theta)
    # tie = (θ² − 1)·win·loss, and θ² − 1 = (1 − θ⁻²)·θ², of which neither logarithm overflows
    tie = torch.log(-torch.expm1(-2 * log_theta)) + 2 * log_theta + (win + loss)
    return torch.stack([win, tie, loss], dim=-1)


def log_davidson(difference: Tensor, log_nu: Tensor) -> Tensor:
    """Logarithms (pairs, 3) as in `log_bradley_terry`; log ν is one number or (pairs,)."""
    logits = [difference / 2, log_nu.expand_as(difference), -difference / 2]
    # Unlike a softmax, this adds the same numbers in the same order when the two are swapped.
    total = torch.logaddexp(torch.logaddexp(logits[0], logits[2]), logits[1])
    return torch.stack(logits, dim=-1) - total[..., None]


def _check(name: str, value: float, above: float = -math.inf, least: float = -math.inf) -> None:
    if not (math.isfinite(value) and value > above and value >= least):
        wanted = f"above {above}" if math.isfinite(above) else f"of {least} or more"
        raise AvrewardError(f"{name}: {value} can't be used; pass a finite number {wanted}")
