"""Softened gates and means: finite gradients everywhere, and the hard originals for `explain`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Gate = Callable[[Tensor], Tensor]
"""Maps a margin to 0 … 1: `soft` for scores, `hard` for the figures of the literature."""


def soft(margin: Tensor) -> Tensor:
    """Return the logistic step: 0.5 at the threshold, 0.73 one unit above it."""
    return torch.sigmoid(margin)


def hard(margin: Tensor) -> Tensor:
    """Return the step of the literature: 1 above the threshold, 0 below."""
    return (margin > 0).to(margin.dtype)


def decibel(power: Tensor, floor: float = 1e-10) -> Tensor:
    """10·log10 of a power, with `floor` added so that silence has a value and a gradient."""
    return 10 / math.log(10) * torch.log(power + floor)


def magnitude(x: Tensor, softness: float) -> Tensor:
    """|x|, rounded off near zero over about `softness`, so that its derivative is continuous."""
    return torch.sqrt(x.square() + softness * softness) - softness


def low_mean(x: Tensor, dim: int, gate: Gate, power: float = 1.0) -> Tensor:
    """Return a low level of x: the tenth percentile with the hard gate, else the power mean of exponent −`power`."""
    if gate is hard:
        return x.quantile(0.1, dim)
    return x.pow(-power).mean(dim).pow(-1 / power)


def correlation(x: Tensor, y: Tensor, floor: float) -> Tensor:
    """Pearson's correlation along the last dimension; `floor` is added to each variance, so constants give 0."""
    x = x - x.mean(-1, keepdim=True)
    y = y - y.mean(-1, keepdim=True)
    return (x * y).mean(-1) / torch.sqrt((x.square().mean(-1) + floor) * (y.square().mean(-1) + floor))
