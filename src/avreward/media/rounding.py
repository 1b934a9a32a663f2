"""Rounding steps of published preprocessing, with a choice of gradient.

Originals resize 8-bit pixels, read 16-bit audio and cast spectrograms to bfloat16. Each such step is one operation
here, with a mode:

- ``"straight_through"``: the rounded value, with the gradient of the identity (Bengio et al., arXiv:1308.3432).
- ``"exact"``: the rounded value as torch differentiates it: a zero gradient through whole numbers, the gradient of the
  cast (itself rounded) through bfloat16.
- ``"none"``: the unchanged value, neither rounded nor clamped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from avreward.errors import unknown_name

Rounding = Literal["exact", "straight_through", "none"]


def to_uint8_levels(image: Tensor, mode: Rounding = "straight_through") -> Tensor:
    """Round float `image` (any shape, [0, 1]) to k/255 with k in 0 … 255, halves to even; what is outside is clamped.

    >>> to_uint8_levels(torch.tensor([0.5, 1.2])) * 255
    tensor([128., 255.])
    """
    return rounded(image, lambda x: (x * 255).round().clamp(0, 255) / 255, mode)


def to_int16(audio: Tensor, mode: Rounding = "straight_through") -> Tensor:
    """Round float `audio` (any shape, [−1, 1]) to k/32768 with k in −32768 … 32767, halves to even; clamp the rest.

    >>> (to_int16(torch.tensor([0.00004, 1.0])) * 32768).tolist()
    [1.0, 32767.0]
    """
    return rounded(audio, lambda x: (x * 32768).round().clamp(-32768, 32767) / 32768, mode)


def to_bfloat16(values: Tensor, mode: Rounding = "straight_through") -> Tensor:
    """Round float `values` (any shape) to the nearest bfloat16, halves to even; the dtype stays as it was.

    >>> to_bfloat16(torch.tensor(1.005))
    tensor(1.0078)
    """
    return rounded(values, lambda x: x.to(torch.bfloat16).to(x.dtype), mode)


def rounded(values: Tensor, step: Callable[[Tensor], Tensor], mode: Rounding) -> Tensor:
    """Return `step(values)` (or `values` if `mode` is ``"none"``) with the gradient of `mode`.

    `step` keeps shape and dtype.

    Raises:
        UnknownNameError: for an unknown mode.

    Example:
        >>> x = torch.tensor([0.4, 1.6], requires_grad=True)
        >>> torch.autograd.grad(rounded(x, torch.round, "straight_through").sum(), x)
        (tensor([1., 1.]),)
    """
    if mode == "none":
        return values
    if mode == "exact" or (mode == "straight_through" and not values.requires_grad):
        return step(values)
    if mode == "straight_through":
        # x − x is exactly 0, so the value is exact; x + (step(x) − x) could miss it by one place
        return step(values.detach()) + (values - values.detach())
    raise unknown_name("rounding", mode, get_args(Rounding))
