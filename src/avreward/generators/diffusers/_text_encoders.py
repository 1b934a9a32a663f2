"""Text encoders whose weights stay in CPU memory: a prompt is encoded once, the network trained for hours."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avreward._extras import extra


def offload_text_encoders(pipeline: Any, device: torch.device) -> None:
    """Keep the weights of a pipeline's text encoders in CPU memory; a layer's are on `device` while it is called.

    Text encoders that are offloaded already stay as they are. Prompts are encoded on `device` as before, so that the
    pipeline can be called as before, too.
    """
    with extra("diffusers"):
        from accelerate import cpu_offload
        from accelerate.hooks import remove_hook_from_submodules
    found = [one for name, one in pipeline.components.items() if name.startswith("text_encoder")]
    encoders = [one for one in found if isinstance(one, nn.Module) and not _offloaded(one)]
    for encoder in encoders:
        cpu_offload(encoder, execution_device=device)
    # Older versions of diffusers take the device of any component for that of the pipeline.
    if encoders and torch.device(pipeline._execution_device).type != device.type:
        for encoder in encoders:
            remove_hook_from_submodules(encoder)


def _offloaded(network: nn.Module) -> bool:
    hooks = ("_hf_hook", "_diffusers_hook", "hf_device_map")  # of accelerate, of diffusers, of a device map
    return any(hasattr(module, hook) for module in network.modules() for hook in hooks)
