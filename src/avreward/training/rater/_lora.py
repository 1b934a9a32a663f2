"""Which weights of a network are trained: those named by regular expressions, in full or by LoRA adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

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
    """Freeze `network`, but for the weights that are trained.

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


def merge_weights(network: nn.Module) -> None:
    """Merge adapters into their layers, and freeze everything."""
    for name, module in list(network.named_modules()):
        if hasattr(module, "get_base_layer") and hasattr(module, "merge"):
            dtype = module.get_base_layer().weight.dtype
            module.merge()  # in float32, if the adapter is
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, module.get_base_layer().to(dtype))
    network.eval().requires_grad_(False)


class MasterWeights:
    """Float32 copies of the trained weights of a low precision, which the optimizer moves in their place.

    In bfloat16 an update of less than 1/256 of a weight is rounded away; here it adds up.

    Args:
        module: with the trained weights.
    """

    def __init__(self, module: nn.Module) -> None:
        trained = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        self.weights = trained
        self.copies = {
            name: weight.detach().float().requires_grad_() for name, weight in trained.items() if weight.dtype in LOW
        }

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Let `optimizer` move the copies; gradients come from the weights, and the weights follow each step."""
        found = {id(self.weights[name]): copy for name, copy in self.copies.items()}
        for group in optimizer.param_groups:
            group["params"] = [found.get(id(weight), weight) for weight in group["params"]]
        optimizer.register_step_pre_hook(lambda *_: self._take_gradients())
        optimizer.register_step_post_hook(lambda *_: self._follow())

    def state(self) -> dict[str, Tensor]:
        """Return the trained weights by name, in full precision."""
        return {name: self.copies.get(name, weight).detach() for name, weight in self.weights.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Set weights and copies to what `state` returned."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                self.copies.get(name, weight).copy_(state[name])
        self._follow()

    def _take_gradients(self) -> None:
        for name, copy in self.copies.items():
            slope = self.weights[name].grad
            copy.grad = None if slope is None else slope.float()

    @torch.no_grad()
    def _follow(self) -> None:
        for name, copy in self.copies.items():
            self.weights[name].copy_(copy)


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
