"""Which weights of a network are trained: those named by regular expressions, in full or by LoRA adapters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, Described

LOW = (torch.bfloat16, torch.float16)


def choose_weights(
    network: nn.Module,
    patterns: Sequence[str],
    lora: str | None,
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.05,
) -> None:
    """Freeze `network`, but for the weights that are trained; trained weights are in float32.

    Args:
        network: changed in place; its linear layers that `lora` matches get adapters of `peft`.
        patterns: regular expressions for the whole name of a parameter, or of a module with all its weights.
        lora: regular expression for the whole names of linear layers (*optional*).
        rank: of the adapters.
        alpha: of the adapters.
        dropout: of the adapters.

    Raises:
        ArgumentError: for a pattern that is wrong or matches nothing.
    """
    names = [name for name, _ in network.named_parameters()]
    network.requires_grad_(False)
    chosen = {name for pattern in patterns for name in _matched("train_weights", pattern, names)}
    if not patterns and lora is None:
        chosen = set(names)
    if lora is not None:
        layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
        targets = _matched("lora", lora, layers, parents=False)
        with extra("train"):
            from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets))
        inject_adapter_in_model(config, network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.replace(".base_layer.", ".") in chosen)
    for module in network.modules():
        if any(weight.requires_grad and weight.dtype in LOW for weight in module.parameters(recurse=False)):
            _widen(module)


def merge_weights(network: nn.Module) -> None:
    """Merge adapters into their layers, put trained weights into their former type, and freeze everything."""
    for name, module in list(network.named_modules()):
        if hasattr(module, "get_base_layer") and hasattr(module, "merge"):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, module.get_base_layer())
    for module in network.modules():
        if (before := module.__dict__.pop("_before_training", None)) is not None:
            dtype, hooks = before
            for hook in hooks:
                hook.remove()
            module.to(dtype)
    network.eval().requires_grad_(False)


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights that are trained, by name."""
    return {name: weight.detach() for name, weight in module.named_parameters() if weight.requires_grad}


def _widen(module: nn.Module) -> None:
    """Keep a module of a low precision in float32, where small updates count; its neighbours see no difference."""
    dtype = next(weight.dtype for weight in module.parameters(recurse=False) if weight.dtype in LOW)
    module.to(torch.float32)

    def widen(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_cast(one, dtype, torch.float32) for one in inputs)

    def narrow(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        return _cast(output, torch.float32, dtype)

    hooks = [module.register_forward_pre_hook(widen), module.register_forward_hook(narrow)]
    module.__dict__["_before_training"] = dtype, hooks


def _cast(value: Any, old: torch.dtype, new: torch.dtype) -> Any:
    return value.to(new) if isinstance(value, Tensor) and value.dtype == old else value


def _matched(option: str, pattern: str, names: Sequence[str], parents: bool = True) -> list[str]:
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ArgumentError(option, f"a regular expression ({error})", pattern) from error
    matched = [
        name for name in names if any(found.fullmatch(part) for part in ([*_parents(name)] if parents else [name]))
    ]
    if not matched:
        near = get_close_matches(pattern, names, 3, 0.3) or names[:3]
        got = Described(f"{pattern!r}, which matches none")
        raise ArgumentError(option, "a pattern of names in the network", got, f"names are such as {', '.join(near)}")
    return matched


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
