"""Activation checkpointing that works in evaluation mode, with a cache too."""

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
_users: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # of each layer that is checkpointed now


@contextmanager
def checkpointed(module: nn.Module, on: bool = True) -> Iterator[None]:
    """Within, the layers of `module` keep only their inputs for the backward pass and are computed again in it.

    `transformers`' own checkpointing acts in training mode only, where it also drops the cache. This one acts whenever
    gradients are recorded. What a layer writes to the cache stays part of the graph, since a
    `avreward.raters.lmm._prefix.PrefixCache` changes nothing in place. It may be nested, and several threads may use
    one module: the last to leave restores the layers.
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
    """Return the layers that `transformers` marks as worth a checkpoint, and those of this package that are."""
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
    if plain != layer.forward:  # accelerate's hooks stand there, for example
        layer.forward = plain


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
