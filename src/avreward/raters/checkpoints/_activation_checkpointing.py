"""What is kept for the backward pass: everything, the layers' inputs, these and some results, or all in CPU memory.

It works in evaluation mode and with a key-value cache.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from avreward.errors import ArgumentError
from avreward.raters.checkpoints._keeping import Keep, Reuse
from avreward.raters.checkpoints._rerun import Rerun, Unsuitable, can_rerun
from avreward.raters.checkpoints._shelf import Shelf, Shelved

Checkpointing = bool | Literal["selective", "offload"]

_MLP = frozenset(("gate_proj", "up_proj", "down_proj", "act_fn"))
_TOKENS = 512
_lock = threading.Lock()
_users: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # how often each layer is checkpointed now
_within: ContextVar[bool] = ContextVar("within", default=False)  # a layer that is computed again as a whole


def checked(value: object) -> Checkpointing:
    """Return `value`, if it is a way of checkpointing."""
    if isinstance(value, bool) or (isinstance(value, str) and value in ("selective", "offload")):
        return value  # type: ignore[return-value]
    raise ArgumentError("checkpointing", "False, True, 'selective' or 'offload'", value)


@contextmanager
def checkpointed(module: nn.Module, on: Checkpointing = True) -> Iterator[None]:
    """Checkpoint the layers of `module` within the context: they are computed again in the backward pass.

    `transformers`' own checkpointing acts in training mode only, where it also drops the cache. This one acts whenever
    gradients are recorded. The cache entries of a layer stay part of the graph, because
    `avreward.raters.lmm._prefix.PrefixCache` changes nothing in place. Contexts may be nested, and several threads may
    use one module: the first context decides how, the last one to end restores the layers.

    Args:
        module: the network.
        on: False keeps everything; True a layer's input alone; ``"selective"`` also what PyTorch's attention returns,
            and linear layers with fewer outputs than inputs, which cost the most time for the least memory;
            ``"offload"`` keeps everything but weights in CPU memory, and computes nothing again.
    """
    layers = list(layers_of(module)) if on in (True, "selective") else []
    shelf = Shelf()
    with _lock:
        for layer in layers:
            _enter(layer, on == "selective", shelf)
    try:
        with _offloaded(module) if on == "offload" else nullcontext():
            yield
    finally:
        with _lock:
            for layer in layers:
                _leave(layer)


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """Return the layers of `transformers` and of this package that support checkpointing.

    A module of this package says so by an attribute ``worth_checkpointing``: True, or the name of a method that
    computes rows apart from one another, `rows_at_once` of them at a time. Layers within that method are not
    checkpointed themselves.
    """
    marked = sys.modules.get("transformers.modeling_layers")  # without it no module is of its classes
    theirs = () if marked is None else marked.GradientCheckpointingLayer
    return (
        part for part in module.modules() if getattr(part, "worth_checkpointing", False) or isinstance(part, theirs)
    )


def _enter(layer: nn.Module, selective: bool, shelf: Shelf) -> None:
    _users[layer] = _users.get(layer, 0) + 1
    if _users[layer] == 1:
        name, way = _method(layer), _Way(layer, shelf, selective)
        work = _in_pieces if _is_mlp(layer) else _forward if name == "forward" else _apart
        setattr(layer, name, partial(work, getattr(layer, name), way))


def _leave(layer: nn.Module) -> None:
    _users[layer] -= 1
    if _users[layer]:
        return
    del _users[layer]
    name = _method(layer)
    plain = getattr(layer, name).args[0]
    delattr(layer, name)
    if plain != getattr(layer, name):  # replaced by accelerate's hooks, for example
        setattr(layer, name, plain)


def _method(layer: nn.Module) -> str:
    name = getattr(layer, "worth_checkpointing", True)
    return name if isinstance(name, str) else "forward"


@dataclass(frozen=True, eq=False)
class _Way:
    """How a layer is computed again."""

    layer: nn.Module
    shelf: Shelf
    selective: bool

    def contexts(self, kept: list[Any]) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        """Return the contexts of the first and of each further time; `kept` is filled by the first."""
        return (Keep(kept, self.shelf), Reuse(kept)) if self.selective else (nullcontext(), nullcontext())

    def run(self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return ``forward(*args, **kwargs)``, which the backward pass computes again."""
        forward = partial(self._pieced, forward)
        frozen = not self.layer.training and not any(weight.requires_grad for weight in self.layer.parameters())
        if frozen and can_rerun(args, kwargs):
            with suppress(Unsuitable):
                return Rerun.apply(args[0], forward, self.contexts, args[1:], kwargs)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=lambda: self.contexts([]), **kwargs)

    def _pieced(self, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return ``forward(*args, **kwargs)`` with its MLP in pieces, the first time and each further one."""
        parts = [part for part in self.layer.children() if _is_mlp(part)]
        with _lock:
            for part in parts:
                _enter(part, self.selective, self.shelf)
        try:
            return forward(*args, **kwargs)
        finally:
            with _lock:
                for part in parts:
                    _leave(part)


def _forward(forward: Callable[..., Any], way: _Way, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled() or _within.get():
        return forward(*args, **kwargs)
    if args and isinstance(args[0], Tensor) and args[0].requires_grad:
        args = (Shelved.apply(args[0], way.shelf), *args[1:])
    return way.run(forward, args, kwargs)


def _in_pieces(forward: Callable[[Tensor], Tensor], _: _Way, tokens: Tensor) -> Tensor:
    """Return `forward(tokens)`, computed some tokens at a time.

    What is kept of all at once is large, and leaves large gaps in a CPU's memory.
    """
    if tokens.device.type != "cpu" or not torch.is_grad_enabled():
        return forward(tokens)
    return torch.cat([forward(some) for some in tokens.split(_TOKENS, -2)], -2)


def _is_mlp(module: nn.Module) -> bool:
    """Whether it is a gated MLP of `transformers`: it sees one token at a time."""
    return {"gate_proj", "up_proj", "down_proj"} <= dict(module.named_children()).keys() <= _MLP


def _apart(work: Callable[[Tensor], Tensor], way: _Way, rows: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return work(rows)

    def whole(some: Tensor) -> Tensor:
        token = _within.set(True)
        try:
            return work(some)
        finally:
            _within.reset(token)

    at_once = cast(int, way.layer.rows_at_once)
    return torch.cat([way.run(whole, (some,), {}) for some in rows.split(at_once)])


def _offloaded(module: nn.Module) -> saved_tensors_hooks:
    """Return a context in which what is kept for the backward pass is copied to CPU memory, without the weights."""
    weights = {held.untyped_storage().data_ptr() for held in (*module.parameters(), *module.buffers())}

    def pack(tensor: Tensor) -> tuple[torch.device, Tensor]:
        if tensor.untyped_storage().data_ptr() in weights:
            return tensor.device, tensor
        held = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
        return tensor.device, held.copy_(tensor)

    def unpack(packed: tuple[torch.device, Tensor]) -> Tensor:
        device, held = packed
        return held.to(device, non_blocking=held.is_pinned()) if held.device != device else held

    return saved_tensors_hooks(pack, unpack)
