"""Activation checkpointing that works in evaluation mode, with a cache too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed(module: nn.Module, on: bool = True) -> Iterator[None]:
    """Within, the layers of `module` keep only their inputs for the backward pass and are computed again in it.

    `transformers`' own checkpointing acts in training mode only, where it also drops the cache. This one acts whenever
    gradients are recorded. What a layer writes to the cache stays part of the graph, since a
    `avreward.raters.lmm.prefix.PrefixCache` changes nothing in place.
    """
    layers = list(layers_of(module)) if on else []
    plain = [layer.__dict__.get("forward") for layer in layers]  # accelerate's hooks stand there, for example
    for layer in layers:
        layer.forward = partial(_forward, layer.forward)
    try:
        yield
    finally:
        for layer, own in zip(layers, plain, strict=True):
            if own is None:
                del layer.forward
            else:
                layer.forward = own


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The layers that `transformers` marks as worth a checkpoint, and those of this package."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return (layer for layer in module.modules() if isinstance(layer, GradientCheckpointingLayer))


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
