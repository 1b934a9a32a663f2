"""How uncertain a reward is when its scores are: the delta method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def sigma_of(
    compute: Callable[[Mapping[str, Tensor]], Tensor], columns: Mapping[str, Tensor], sigmas: Mapping[str, Tensor]
) -> Tensor | None:
    """The standard deviation (clips,) of ``compute(columns)``: the root of Σ (∂reward/∂term)² · σ_term².

    First order, for terms that err independently: exact for a weighted sum, local for the rest (a clipped score is as
    certain as its bound). Differentiable, as the values are.

    Args:
        compute: of a reward; clip by clip.
        columns: name of a term → its scores (clips,).
        sigmas: name of a term → their standard deviations (clips,), NaN where unknown. A term that isn't named counts
            as exact.

    Returns `None` where no term has a sigma. NaN where one is unknown that the value depends on.

    >>> one = torch.ones(1)
    >>> sigma_of(lambda c: 3 * c["a"] - 2 * c["b"], {"a": one, "b": one}, {"a": one, "b": 2 * one})
    tensor([5.])
    """
    if not sigmas:
        return None
    graph = torch.is_grad_enabled() and any(t.requires_grad for t in (*columns.values(), *sigmas.values()))
    with torch.inference_mode(False), torch.enable_grad():
        inputs = {
            name: column if graph and column.requires_grad else column.detach().clone().requires_grad_()
            for name, column in columns.items()
        }
        slopes = torch.autograd.grad(
            compute(inputs).sum(), [inputs[name] for name in sigmas], create_graph=graph, materialize_grads=True
        )
    variance = torch.stack([_part(slope, sigma) for slope, sigma in zip(slopes, sigmas.values(), strict=True)]).sum(0)
    # A certain reward: the root's slope at 0 is infinite, and would spoil every gradient.
    certain = variance == 0
    return torch.where(certain, 0.0, torch.where(certain, 1.0, variance).sqrt())


def _part(slope: Tensor, sigma: Tensor) -> Tensor:
    return (slope * torch.where(slope == 0, 0.0, sigma.to(slope))).square()
