"""Propagate the uncertainty of scores to the reward, by the delta method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def sigma_of(
    compute: Callable[[Mapping[str, Tensor]], Tensor], columns: Mapping[str, Tensor], sigmas: Mapping[str, Tensor]
) -> Tensor | None:
    """Return the standard deviation (clips,) of ``compute(columns)``: the root of Σ (∂reward/∂term)² · σ_term².

    First order, assuming that the terms' errors are independent: exact for a weighted sum, a local approximation
    otherwise (a clamped score has no uncertainty). Differentiable, as the values are.

    Args:
        compute: that of a reward; per clip.
        columns: name of a term → its scores (clips,).
        sigmas: name of a term → their standard deviations (clips,), NaN where unknown. Terms that are left out count
            as exact.

    Returns:
        `None` if no term has a sigma. NaN for a clip whose value depends on a term of unknown sigma.

    Example:
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
    # At variance 0 the root has an infinite slope, which would turn every gradient into NaN.
    certain = variance == 0
    return torch.where(certain, 0.0, torch.where(certain, 1.0, variance).sqrt())


def _part(slope: Tensor, sigma: Tensor) -> Tensor:
    return (slope * torch.where(slope == 0, 0.0, sigma.to(slope))).square()
