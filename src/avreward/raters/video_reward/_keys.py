"""Convert published checkpoints of VideoReward: names of the weights, and merged adapters."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.raters.checkpoints._lora import merge_lora

# In the order in which they are tried. Up to transformers 4.51 the vision tower and the language model stood side by
# side, as `visual.` and `model.`; now both stand under `model.`.
_PREFIXES = {
    "model.visual.": "base.model.visual.",
    "model.language_model.": "base.model.language_model.",
    "visual.": "base.model.visual.",
    "model.": "base.model.language_model.",
    "lm_head.": "base.lm_head.",
}


def official_to_ours(name: str) -> str:
    """Return the name in `VideoRewardRater.module` of the entry `name` of a published checkpoint.

    It may be one wrapped by `peft`, one with merged adapters, or one of the base model; other names stay as they are.

    >>> official_to_ours("base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight")
    'base.model.language_model.layers.0.self_attn.q_proj.weight'
    """
    bare = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
    for old, new in _PREFIXES.items():
        if bare.startswith(old):
            return new + bare.removeprefix(old)
    return bare


def merged(state: Mapping[str, Tensor], alpha: float, rslora: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return `state` by our names, in `dtype`, with each adapter merged into its weight: W + scale·B·A, in float32.

    scale is α/r, or α/√r with `rslora` (arXiv:2312.03732); r is the number of rows of A. A state without adapters is
    only renamed. Raise `AvrewardError` if one half of an adapter is missing, or the weight that it belongs to.

    >>> names = ("visual.w.base_layer.weight", "visual.w.lora_A.default.weight", "visual.w.lora_B.default.weight")
    >>> merged({name: torch.ones(1, 1) for name in names}, alpha=2.0, rslora=False, dtype=torch.float32)
    {'base.model.visual.w.weight': tensor([[3.]])}
    """

    def scale(name: str, rank: int) -> float:
        return alpha / (sqrt(rank) if rslora else rank)

    return merge_lora(state, official_to_ours, scale, dtype)


def adapter_scale(settings: Mapping[str, Any], adapter_config: Mapping[str, Any]) -> tuple[float, bool]:
    """Return α and whether it is divided by √r, from `peft`'s ``adapter_config.json`` or else ``model_config.json``.

    Raise `AvrewardError` if neither has them.

    >>> adapter_scale({"peft_lora_config": {"lora_r": 64, "lora_alpha": 128}}, {})
    (128.0, False)
    """
    found = {**settings.get("peft_lora_config", {}), **adapter_config}
    if "lora_alpha" not in found:
        raise AvrewardError("model_config.json: no lora_alpha under peft_lora_config; give the file of the checkpoint")
    return float(found["lora_alpha"]), bool(found.get("use_rslora", False))
