"""A generator whose denoising steps can be trained: the protocol, and sampling with gradients through chosen steps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avreward.clip import Clip
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_steps import euler_step

Latents = dict[str, Tensor]
"""Stream → latents, (rows, …)."""


@runtime_checkable
class FlowGenerator(Protocol):
    """A generator by flow matching, as the loops that train it see it.

    Its latents mix clean ones and noise as (1 − σ)·x₀ + σ·noise. A network that predicts noise under another schedule
    √ā·x₀ + √(1 − ā)·ε fits, too: divide its latents by √ā + √(1 − ā), so that σ = √(1 − ā) / (√ā + √(1 − ā)), and
    return the velocity ε − x₀.

    Attributes:
        network: what is trained.
        streams: what it makes, such as ``("video", "audio")``; names of the latents.
    """

    network: nn.Module
    streams: tuple[str, ...]

    def encode(self, condition: Condition) -> Any:
        """Return what the steps need of a condition: embeddings of its prompt, features of its video."""
        ...

    def start(self, encoded: Any, noises: Sequence[Noise]) -> Latents:
        """Return the initial noise, a row for each of `noises`."""
        ...

    def sigmas(self, steps: int, encoded: Any) -> list[float]:
        """Return `steps` + 1 falling noise levels to 0, which may depend on the size of what is made.

        They begin at 1, or at the largest level that the network knows.
        """
        ...

    def velocity(self, latents: Latents, sigma: Tensor, encoded: Any) -> Latents:
        """Return the velocity of each stream at noise levels (rows,)."""
        ...

    def decode(self, latents: Latents, encoded: Any) -> list[Clip]:
        """Return the clip of each row, with gradients to the latents."""
        ...


def stream_velocity(
    generator: FlowGenerator,
    latents: Latents,
    sigma: Tensor,
    encoded: Any,
    checkpointing: bool = False,
    several: bool = False,
) -> Latents:
    """Return the velocity of each stream, whose gradient reaches the latents of that stream alone.

    A joint network lets its streams see each other. With gradients, each stream's velocity is computed by a call in
    which the latents of the others are constants, so that a reward of the audio cannot move the video. The values are
    those of one call.

    Args:
        generator: what makes the velocity.
        latents: of all streams.
        sigma: noise levels, (rows,).
        encoded: the condition.
        checkpointing: compute the network's activations again in the backward pass instead of keeping them. A network
            of diffusers keeps the inputs of its layers (its own gradient checkpointing) and computes one layer again
            at a time. Where one backward pass goes through several calls (of several streams, or `several`), or the
            network has no such checkpointing, a call keeps its latents alone and is computed again as a whole.
        several: whether one backward pass goes through other calls of the network, too.
    """
    if not torch.is_grad_enabled() or len(latents) == 1:
        return _call(generator, latents, sigma, encoded, checkpointing, several)
    found = {}
    for stream in latents:
        own = {name: value if name == stream else value.detach() for name, value in latents.items()}
        found[stream] = _call(generator, own, sigma, encoded, checkpointing, several=True)[stream]
    return found


@contextmanager
def checkpointed_layers(network: nn.Module) -> Iterator[bool]:
    """Within, a network of diffusers checkpoints its layers; yield whether it does.

    A network without gradient checkpointing of its own, or that checkpoints already, stays as it is.
    """
    if getattr(network, "is_gradient_checkpointing", False) or not getattr(
        network, "_supports_gradient_checkpointing", False
    ):
        yield getattr(network, "is_gradient_checkpointing", False)
        return
    layers: Any = network
    layers.enable_gradient_checkpointing(_computed_again)
    try:
        yield True
    finally:
        layers.disable_gradient_checkpointing()


def _computed_again(layer: Any, *given: Any) -> Any:
    """Call a layer that is computed again in the backward pass.

    Layers within it keep what they need, since the backward pass may come when the network checkpoints no longer: they
    would then keep other tensors than before.
    """

    def run(*values: Any) -> Any:
        modules = layer.modules() if isinstance(layer, nn.Module) else ()
        within: list[Any] = [one for one in modules if getattr(one, "gradient_checkpointing", False)]
        for one in within:
            one.gradient_checkpointing = False
        try:
            return layer(*values)
        finally:
            for one in within:
                one.gradient_checkpointing = True

    return checkpoint(run, *given, use_reentrant=False)


def _call(
    generator: FlowGenerator, latents: Latents, sigma: Tensor, encoded: Any, checkpointing: bool, several: bool
) -> Latents:
    if not (checkpointing and torch.is_grad_enabled()):
        return generator.velocity(latents, sigma, encoded)
    with checkpointed_layers(generator.network) as layered:
        if layered and not several:
            return generator.velocity(latents, sigma, encoded)
    names = list(latents)

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        with checkpointed_layers(generator.network):  # in the backward pass, too
            found = generator.velocity(dict(zip(names, values, strict=True)), sigma, encoded)
        return tuple(found[name] for name in names)

    values = checkpoint(run, *latents.values(), use_reentrant=False)
    return dict(zip(names, values, strict=True))


def velocity_in_parts(
    generator: FlowGenerator, latents: Latents, sigma: Tensor, encoded: Any, rows: int | None
) -> Latents:
    """Return the velocity of each stream, computed for at most `rows` rows at a time; all at once by default."""
    if rows is None or len(sigma) <= rows:
        return generator.velocity(latents, sigma, encoded)
    parts = [
        generator.velocity({name: x[at : at + rows] for name, x in latents.items()}, sigma[at : at + rows], encoded)
        for at in range(0, len(sigma), rows)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def sample_flow(
    generator: FlowGenerator,
    encoded: Any,
    noises: Sequence[Noise],
    sigmas: Sequence[float],
    *,
    trained: Collection[int] = (),
    stop: int | None = None,
    checkpointing: bool = True,
    rows: int | None = None,
) -> Latents:
    """Sample by Euler steps, with gradients through the steps in `trained`, and return the clean latents.

    Memory does not grow with the steps that are not trained.

    Args:
        generator: what is sampled.
        encoded: what ``generator.encode`` returned.
        noises: of the candidates.
        sigmas: noise levels, falling to 0.
        trained: numbers of the steps that pass a gradient to the network, from 0; none by default.
        stop: the step after which the clean latents are predicted instead of sampled, as ReFL does; the last step by
            default, where both are the same.
        checkpointing: of the trained steps, see `stream_velocity`.
        rows: candidates that go through the network at once in the other steps; all by default.
    """
    latents = generator.start(encoded, noises)
    last = len(sigmas) - 2 if stop is None else stop
    several = len(trained) > 1
    for step in range(last + 1):
        sigma = torch.full((len(noises),), sigmas[step], device=next(iter(latents.values())).device)
        following = 0.0 if step == last else sigmas[step + 1]
        with torch.set_grad_enabled(step in trained):
            if step in trained:
                velocity = stream_velocity(generator, latents, sigma, encoded, checkpointing, several)
            else:
                velocity = velocity_in_parts(generator, latents, sigma, encoded, rows)
            latents = {name: euler_step(x, velocity[name], sigma, following) for name, x in latents.items()}
    return latents
