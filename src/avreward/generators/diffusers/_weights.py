"""A name for the weights and adapters of a pipeline, so that a run is not resumed with others."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn

TAKEN = 16  # numbers of each tensor


def weights_key(pipeline: Any) -> str:
    """Return 16 hex digits that change with the weights, and with which adapters are loaded, active and scaled.

    Cheap: a few numbers of each parameter count. Tensors without data (offloaded to disk) count by name and shape.
    """
    found = hashlib.blake2b(digest_size=8)
    components = getattr(pipeline, "components", {})
    for name in sorted(components):
        if isinstance(components[name], nn.Module):
            found.update(name.encode())
            _add(found, components[name])
    return found.hexdigest()


def _add(found: Any, network: nn.Module) -> None:
    taken: dict[tuple[torch.device, torch.dtype], list[torch.Tensor]] = {}
    for name, weights in network.named_parameters():
        name = name.replace(".base_layer.", ".")  # a layer stays wrapped when its adapters are gone
        found.update(f"{name} {tuple(weights.shape)} {weights.dtype}".encode())
        if weights.is_meta or not weights.numel():
            continue
        flat = weights.detach().reshape(-1)
        taken.setdefault((flat.device, flat.dtype), []).append(flat[:: max(1, len(flat) // TAKEN)][:TAKEN])
    for parts in taken.values():  # one copy to the CPU for each device and dtype
        found.update(torch.cat(parts).cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for name, module in network.named_modules():
        scaling = getattr(module, "scaling", None)
        if isinstance(scaling, dict) and scaling:  # a layer with LoRA
            active, off = getattr(module, "active_adapters", ()), getattr(module, "disable_adapters", False)
            found.update(f"{name} {sorted(scaling.items())} {list(active)} {off}".encode())
