"""Files of a LoRA, as diffusers' pipelines read them, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from avreward._extras import extra
from avreward._whole_files import whole_file
from avreward.errors import AvrewardError
from avreward.training.generator.lora import fill_lora, lora_state

ADAPTER = "default"  # peft's name of the adapter, which diffusers expects in no file
SETTINGS = "lora_adapter_metadata"  # where diffusers looks for rank and scale


def save_lora(network: nn.Module, path: str | Path) -> Path:
    """Write the trained parameters of `network` as safetensors; the file appears whole or not at all.

    Names, rank and scale are written as diffusers reads them: ``pipeline.load_lora_weights(path)`` loads the LoRA of a
    pipeline's transformer.

    Args:
        network: whose LoRA, or other trained parameters, are written.
        path: of the file.

    Raises:
        OSError: if it can't be written.

    Example:
        >>> from tiny_diffusers import build  # in recipes/
        >>> from avreward.generators import DiffusersFlow
        >>> from avreward.training import add_lora
        >>> network = DiffusersFlow(build("WanPipeline").pipeline, fps=16).network
        >>> trained = add_lora(network, rank=2, targets=["to_q", "to_v"])
        >>> pipeline = build("WanPipeline").pipeline
        >>> pipeline.load_lora_weights(save_lora(network, "lora.safetensors"))
        >>> pipeline.get_list_adapters()
        {'transformer': ['default_0']}
    """
    from safetensors.torch import save

    place = _place(network)
    tensors = {_saved_name(name, place): value.contiguous() for name, value in lora_state(network).items()}
    settings = {f"{place}{name}": value for name, value in _settings(network).items()}
    metadata = {"format": "pt", **({SETTINGS: json.dumps(settings, sort_keys=True)} if settings else {})}
    content = save(tensors, metadata)
    with whole_file(Path(path)) as part:
        part.write_bytes(content)
    return Path(path)


def load_lora(network: nn.Module, path: str | Path) -> None:
    """Read what `save_lora` wrote into a network with the same LoRA.

    Raises:
        AvrewardError: if the file can't be read, or holds other parameters than the network trains.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AvrewardError(f"{path}: expected a file that save_lora wrote, got another one ({error})") from error
    place = _place(network)
    own = {_saved_name(name, place): name for name in lora_state(network)}
    fill_lora(network, {own.get(name, name): value for name, value in state.items()}, str(path))


def _place(network: nn.Module) -> str:
    """Return what diffusers puts before the names of a pipeline's network; nothing before those of another one."""
    if not any(base.__module__.startswith("diffusers.") for base in type(network).__mro__):
        return ""
    return "unet." if "UNet" in type(network).__name__ else "transformer."


def _saved_name(name: str, place: str) -> str:
    return place + name.replace(f".{ADAPTER}.", ".") if "lora_" in name else name


def _settings(network: nn.Module) -> dict[str, Any]:
    """Return rank, alpha and layers of a network's LoRA; nothing where it has none."""
    with extra("train"):
        from peft.tuners.tuners_utils import BaseTunerLayer
    layers: dict[str, Any] = {
        path: layer for path, layer in network.named_modules() if isinstance(layer, BaseTunerLayer)
    }
    if not layers:
        return {}
    first = next(iter(layers.values()))
    return {"r": first.r[ADAPTER], "lora_alpha": first.lora_alpha[ADAPTER], "target_modules": list(layers)}
