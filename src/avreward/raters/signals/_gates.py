"""Softened gates and means: finite gradients everywhere, and the hard originals for `explain`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

LOWEST_EXPONENT = -80.0  # e^−80 is as good as 0; where exp underflows it takes ten times as long
Gate = Callable[[Tensor], Tensor]
"""Maps a margin to 0 … 1: `soft` for scores, `hard` for the figures of the literature."""


def soft(margin: Tensor) -> Tensor:
    """Return the logistic step: 0.5 at the threshold, 0.73 one unit above it."""
    return torch.sigmoid(margin.clamp(min=LOWEST_EXPONENT))


def hard(margin: Tensor) -> Tensor:
    """Return the step of the literature: 1 above the threshold, 0 below."""
    return (margin > 0).to(margin.dtype)


def decibel(power: Tensor, floor: float = 1e-10) -> Tensor:
    """10·log10 of a power, with `floor` added so that silence has a value and a gradient."""
    return 10 / math.log(10) * torch.log(power + floor)


def rounded(x: Tensor, softness: float) -> Tensor:
    """Return √(x² + softness²), in few passes over memory; `x` may be overwritten."""
    return torch.addcmul(x.new_full((), softness * softness), x, x, out=spare(x)).sqrt_()


def spare(x: Tensor) -> Tensor | None:
    """Return `x` as memory for a result (``out=``), so that less is in the cache; None where a gradient needs it."""
    return None if x.requires_grad else x


def applied(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return matrix · vector, (m, n) and (n,) → (m,), in full precision.

    ``matrix @ vector`` follows `torch.set_float32_matmul_precision`, which a trainer sets for its network.
    """
    return (matrix * vector).sum(-1)


def sounding(level: Tensor, gate: Gate, depth: float = 50.0, around: int = 0) -> Tensor:
    """Return how far each frame of `level` (frames,) in dBFS counts as sounding, 0 … 1: at least one does.

    A frame is dead `depth` dB under the mean power, and under −70 dBFS: digital silence, a codec's padding and gaps
    tell nothing about the noise in a sound. So are the `around` frames beside it, which it may reach into.
    """
    mean = decibel((10 ** (level / 10)).mean(), 0.0)
    weight = gate((level - torch.maximum(mean - depth, torch.full_like(mean, -70.0))) / 2)
    weight = -torch.nn.functional.max_pool1d(-weight[None], 2 * around + 1, 1, around)[0]
    return weight if bool((weight > 0).any()) else torch.ones_like(weight)


def low_level(level: Tensor, weight: Tensor, gate: Gate, order: Tensor | None = None) -> Tensor:
    """Return the tenth percentile of `level` (…, frames), where a frame counts as much as its `weight` (frames,).

    With a soft gate it is the mean of the lowest fifth, weighted by a raised cosine that peaks at the tenth percentile,
    so that no single frame decides and each of them has a gradient. `order` (…, frames) is that of ascending level,
    where it is known.
    """
    if gate is hard:
        return level[..., weight > 0.5].quantile(0.1, -1)
    ordered, order = level.sort(-1) if order is None else (level.gather(-1, order), order)
    share = weight[order].cumsum(-1) / weight.sum()
    reached = (share / 0.2).clamp(max=1)
    reached = reached - torch.sin(2 * math.pi * reached) / (2 * math.pi)  # the integral of the raised cosine
    return (ordered * reached.diff(dim=-1, prepend=torch.zeros_like(reached[..., :1]))).sum(-1)


def correlation(x: Tensor, y: Tensor, floor: float) -> Tensor:
    """Pearson's correlation along the last dimension; `floor` is added to each variance, so constants give 0."""
    x = x - x.mean(-1, keepdim=True)
    y = y - y.mean(-1, keepdim=True)
    return (x * y).mean(-1) / torch.sqrt((x.square().mean(-1) + floor) * (y.square().mean(-1) + floor))
