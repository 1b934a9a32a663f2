"""Low-rank adapters (LoRA) on a generator's network: adding, leaving out for a while, measuring."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.generators.flow_generator import FlowGenerator, Latents, stream_velocity
from avreward.generators.flow_steps import noisy_latents

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # that take a LoRA
SHOWN = 12  # names in a message


def add_lora(
    network: nn.Module,
    *,
    rank: int = 16,
    alpha: int | None = None,
    targets: str | Sequence[str] = "all-linear",
    seed: int = 0,
) -> list[nn.Parameter]:
    """Add a LoRA to `network` in place, freeze the rest, and return what is trained.

    The LoRA of a network in half precision is float32, since bfloat16 rounds most updates of a small learning rate
    away. The frozen weights keep their type.

    Args:
        network: of a generator.
        rank: of the adapters.
        alpha: their scale times `rank`; by default `rank`, a scale of 1.
        targets: names of layers, or a regular expression of their paths, as `peft.LoraConfig` takes them.
        seed: of their first factors; the second ones are 0, so that the network begins unchanged.

    Raises:
        ArgumentError: if there is a LoRA already, a name in `targets` is that of no layer, or one is a dilated
            convolution, whose adapter would have no dilation.
    """
    with extra("train"):
        from peft import LoraConfig, inject_adapter_in_model
    if rank < 1:
        raise ArgumentError("rank", "a positive integer", rank)
    if any("lora_" in name for name, _ in network.named_parameters()):
        raise ArgumentError("network", "one without a LoRA", Described("one that has a LoRA"), "merge it first")
    names = targets if isinstance(targets, str) else list(targets)
    _check_targets(network, names)
    _check_dilation(network, names)
    network.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(
                LoraConfig(r=rank, lora_alpha=rank if alpha is None else alpha, target_modules=names), network
            )
        except ValueError as error:
            raise ArgumentError("targets", "layers that take a LoRA", names, _choose_from(network)) from error
    trained = trained_parameters(network)
    for parameter in trained:
        parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
    return trained


def _check_targets(network: nn.Module, targets: str | list[str]) -> None:
    """Raise `ArgumentError` for targets that name no layer, also one of several, which peft would leave out."""
    layers = [path for path, module in network.named_modules() if isinstance(module, LAYERS)]
    if not layers:
        got = Described(f"a {type(network).__name__}, which has none")
        raise ArgumentError("targets", "layers that take a LoRA", got, "train another network")
    if targets == "all-linear":
        return
    paths = [path for path, _ in network.named_modules()]
    for one in (targets,) if isinstance(targets, str) else targets:
        try:
            named = any(_named(path, targets if isinstance(targets, str) else [one]) for path in paths)
        except re.error as error:
            raise ArgumentError("targets", f"a regular expression ({error})", targets) from error
        if not named:
            expected = (
                "a regular expression that is the path of a layer" if isinstance(targets, str) else "layers' names"
            )
            raise ArgumentError("targets", expected, one, _choose_from(network, whole=isinstance(targets, str)))


def _choose_from(network: nn.Module, whole: bool = False) -> str:
    """Return the names, or the whole paths, of a network's layers that take a LoRA, as a remedy."""
    paths = [path for path, module in network.named_modules() if isinstance(module, LAYERS)]
    names = paths if whole else list(dict.fromkeys(_short(path) for path in paths))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"choose from {', '.join(names[:SHOWN])}{more}"


def _short(path: str) -> str:
    """Return the end of a path that names a layer: without a number alone, such as in ``to_out.0``."""
    parts = path.split(".")
    return ".".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]


def _named(path: str, targets: str | list[str]) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, path) is not None
    return any(path == target or path.endswith(f".{target}") for target in targets)


def _check_dilation(network: nn.Module, targets: str | list[str]) -> None:
    for path, module in network.named_modules():
        dilated = any(step != 1 for step in getattr(module, "dilation", ()) or ())
        if dilated and _named(path, targets):
            raise ArgumentError("targets", "layers without dilation", path, "peft supports no LoRA on dilated ones")


def trained_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of `network` that require a gradient.

    Raises:
        ArgumentError: if there are none.
    """
    found = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not found:
        remedy = "call add_lora first, or network.requires_grad_(True)"
        raise ArgumentError("network", "one with parameters to train", Described("a frozen one"), remedy)
    return found


@contextmanager
def without_lora(network: nn.Module) -> Iterator[None]:
    """Leave the LoRA out: within, `network` is the frozen one that it began as."""
    with extra("train"):
        from peft.tuners.tuners_utils import BaseTunerLayer
    layers = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    if not layers:
        remedy = "call add_lora first"
        raise ArgumentError("network", "one with a LoRA", Described("none"), remedy)
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
            for name, parameter in layer.named_parameters():
                if "lora_" in name:
                    parameter.requires_grad_(True)


def frozen_velocity(generator: FlowGenerator, latents: Latents, sigma: Tensor, encoded: Any) -> Latents:
    """Return the velocity of the network without its LoRA, without a gradient."""
    with torch.no_grad(), without_lora(generator.network):
        return generator.velocity(latents, sigma, encoded)


def frozen_distance(
    generator: FlowGenerator,
    clean: Latents,
    sigma: float,
    encoded: Any,
    draw: torch.Generator,
    checkpointing: bool = False,
    *,
    streams: Collection[str] | None = None,
) -> Tensor:
    """Return the mean squared distance of the velocity from the frozen network's, at one noise level.

    Streams count alike, whatever the sizes of their latents.

    Args:
        generator: whose network has a LoRA.
        clean: clean latents, to which noise is added.
        sigma: noise level.
        encoded: the condition.
        draw: draws the noise.
        checkpointing: as in `stream_velocity`.
        streams: whose velocity counts (*optional*, all).
    """
    noise = {name: torch.randn(x.shape, generator=draw).to(x) for name, x in clean.items()}
    noisy = {name: noisy_latents(x, noise[name], sigma) for name, x in clean.items()}
    first = next(iter(clean.values()))
    levels = first.new_full((len(first),), sigma)
    frozen = frozen_velocity(generator, noisy, levels, encoded)
    own = stream_velocity(generator, noisy, levels, encoded, checkpointing)
    counted = [name for name in clean if streams is None or name in streams]
    return torch.stack([((own[name] - frozen[name]) ** 2).mean() for name in counted]).mean()


@contextmanager
def holding_lora(network: nn.Module, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Within, the trained parameters of `network` are those of `state`; afterwards its own again."""
    own = lora_state(network)
    fill_lora(network, state)
    try:
        yield
    finally:
        fill_lora(network, own)


def lora_change(network: nn.Module) -> float:
    """Return how large the LoRA's change of the weights is, as a share of the weights that it changes.

    Both are Euclidean norms over all layers with a LoRA; 0 where there is none. The product of the factors is never
    formed.
    """
    with extra("train"):
        from peft.tuners.tuners_utils import BaseTunerLayer
    change, whole = 0.0, 0.0
    for layer in network.modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        factors: Any = layer
        for name, scale in factors.scaling.items():
            down = factors.lora_A[name].weight.detach().flatten(1).double()  # (rank, inputs)
            up = factors.lora_B[name].weight.detach().flatten(1).double()  # (outputs, rank)
            change += scale**2 * float(((up.T @ up) * (down @ down.T)).sum())
        whole += float(factors.get_base_layer().weight.detach().double().square().sum())
    return math.sqrt(max(change, 0.0) / whole) if whole else 0.0


def lora_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the trained parameters by name, as copies on the CPU."""
    return {name: p.detach().cpu().clone() for name, p in network.named_parameters() if p.requires_grad}


def fill_lora(network: nn.Module, state: Mapping[str, Tensor], name: str = "state") -> None:
    """Copy what `lora_state` returned into the same parameters of `network`.

    Raises:
        AvrewardError: if `state`, called `name` in the message, holds other parameters.
    """
    own = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if set(own) != set(state) or any(own[key].shape != value.shape for key, value in state.items()):
        odd = sorted(set(own) ^ set(state)) or [key for key in own if own[key].shape != state[key].shape]
        raise AvrewardError(f"{name}: expected the parameters that the network trains, got others, such as {odd[0]}")
    with torch.no_grad():
        for key, value in state.items():
            own[key].copy_(value)
