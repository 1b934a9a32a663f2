"""LoRA adapters inside a checkpoint, as `peft` names them, merged into the weights that they belong to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from avreward.errors import AvrewardError

_LORA = re.compile(r"(.*)\.lora_([AB])(?:\.\w+)?\.weight")


def merge_lora(
    state: Mapping[str, Tensor],
    rename: Callable[[str], str],
    scale: Callable[[str, int], float],
    dtype: torch.dtype | None = None,
    source: object = "checkpoint",
) -> dict[str, Tensor]:
    """Return `state` by other names with each adapter merged into its weight: W + scale·B·A, computed in float32.

    A state without adapters is only renamed.

    Args:
        state: name → tensor; an adapter is ``NAME.lora_A.default.weight`` and ``NAME.lora_B.default.weight``.
        rename: a name in `state`, or that of an adapter's weight (``NAME.weight``) → the new name.
        scale: (new name of the weight, rank) → the factor, such as α/rank.
        dtype: of the result (*optional*, that of each weight).
        source: named by errors.

    Raises:
        AvrewardError: if one half of an adapter is missing, or the weight that it belongs to.

    Example:
        >>> names = ("w.base_layer.weight", "w.lora_A.default.weight", "w.lora_B.default.weight")
        >>> state = {name: torch.ones(1, 1) for name in names}
        >>> merge_lora(state, lambda name: name.replace(".base_layer", ""), lambda name, rank: 2 / rank)
        {'w.weight': tensor([[3.]])}
    """
    adapters: dict[str, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if match := _LORA.fullmatch(name):
            adapters.setdefault(rename(match[1] + ".weight"), {})[match[2]] = tensor
        else:
            weights[rename(name)] = tensor
    for name, halves in adapters.items():
        if len(halves) != 2 or name not in weights:
            absent = [f"its lora_{half}" for half in "AB" if half not in halves] or ["the weight itself"]
            raise AvrewardError(f"{source}: {name} has an adapter, but {absent[0]} is missing; download it again")
        down, up = (halves[half].float() for half in "AB")
        weight = weights[name]
        merged = torch.addmm(weight.float(), up, down, alpha=scale(name, len(down)))
        weights[name] = merged.to(dtype or weight.dtype)
    return weights if dtype is None else {name: tensor.to(dtype) for name, tensor in weights.items()}
