"""Activation checkpointing that works in evaluation mode and with a key-value cache."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

_lock = threading.Lock()
_users: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # how often each layer is checkpointed now


@contextmanager
def checkpointed(module: nn.Module, on: bool = True) -> Iterator[None]:
    """Checkpoint the layers of `module` within the context: they are computed again in the backward pass.

    `transformers`' own checkpointing acts in training mode only, where it also drops the cache. This one acts whenever
    gradients are recorded. The cache entries of a layer stay part of the graph, because
    `avreward.raters.lmm._prefix.PrefixCache` changes nothing in place. Contexts may be nested, and several threads may
    use one module: the last context to end restores the layers.

    Args:
        module: the network.
        on: whether to checkpoint at all.
    """
    layers = list(layers_of(module)) if on else []
    with _lock:
        for layer in layers:
            _enter(layer)
    try:
        yield
    finally:
        with _lock:
            for layer in layers:
                _leave(layer)


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """Return the layers of `transformers` and of this package that support checkpointing."""
    marked = sys.modules.get("transformers.modeling_layers")  # without it no module is of its classes
    theirs = () if marked is None else marked.GradientCheckpointingLayer
    return (
        part for part in module.modules() if getattr(part, "worth_checkpointing", False) or isinstance(part, theirs)
    )


def _enter(layer: nn.Module) -> None:
    _users[layer] = _users.get(layer, 0) + 1
    if _users[layer] == 1:
        layer.forward = partial(_forward, layer.forward)


def _leave(layer: nn.Module) -> None:
    _users[layer] -= 1
    if _users[layer]:
        return
    del _users[layer]
    plain = layer.forward.args[0]  # type: ignore[attr-defined]
    del layer.forward
    if plain != layer.forward:  # replaced by accelerate's hooks, for example
        layer.forward = plain


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
