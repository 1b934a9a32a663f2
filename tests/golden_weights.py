"""The weights that reference cases of whole networks were made with, from the names and shapes of their entries."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor


def golden_state(case: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the entries that `case` lists under `state_dict`, float32; other names of a tied one share its tensor.

    Other integers than counts of batches are the network's own and left out.
    """
    state = {
        name: golden_weight(name, shape)
        for name, shape, kind in case["state_dict"]
        if kind.startswith("float") or name.endswith("num_batches_tracked")
    }
    for first, others in case.get("tied_keys", {}).items():
        for other in others:
            state[other] = state[first]
    return state


def golden_weight(name: str, shape: Sequence[int]) -> Tensor:
    """Return the tensor of one entry: noise that depends on its name, scaled as its role asks for."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    noise = torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
    if name.endswith("num_batches_tracked"):
        return torch.zeros(tuple(shape), dtype=torch.int64)
    if name.endswith(("running_var", "weight_g")):
        return noise.abs() + 0.5
    if len(shape) == 0:
        return 0.1 * noise
    if len(shape) == 1:
        return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise
    return noise / prod(shape[1:]) ** 0.5


def structured(seed: int, shape: Sequence[int], scale: float = 1.0) -> Tensor:
    """Return the input (B, C, T, H, W) of the video cases: noise of pixels, frames, rows and columns."""
    generator = torch.Generator().manual_seed(seed)
    b, c, t, h, w = shape
    sizes = ((b, c, t, h, w), (b, c, t, 1, 1), (b, c, 1, h, 1), (b, c, 1, 1, w))
    pixels, frames, rows, columns = (torch.randn(size, generator=generator) for size in sizes)
    return (pixels + 1.5 * frames + rows + columns) / 2 * scale


def real_tokens(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return which token ids of a case are no padding, a mask of their shape."""
    ids = tensors["input_ids"]
    return tensors["attention_mask"].bool() if "attention_mask" in tensors else torch.ones_like(ids, dtype=torch.bool)
