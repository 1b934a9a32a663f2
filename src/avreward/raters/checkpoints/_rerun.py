"""Layers that leave one node in the graph, and are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from avreward.media._precision import no_autocast

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


def can_rerun(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the gradient reaches nothing but the first of `args`, as far as the arguments tell.

    A cache is refused, as its entries are results too, unless its attribute ``passes_on`` says that it keeps none.
    """
    if not args or not isinstance(args[0], Tensor) or not args[0].requires_grad:
        return False
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return False
    return all(_plain(value) for value in (*args[1:], *kwargs.values()))


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_plain(each) for each in value)
    if isinstance(value, Tensor):
        return not value.requires_grad
    return value is None or isinstance(value, bool | int | float | str) or getattr(value, "passes_on", False)


class Unsuitable(Exception):
    """The layer returns something else than a tensor."""


class Rerun(torch.autograd.Function):
    """``forward(first, *others, **named)`` of a layer without trained weights, for which `can_rerun` holds.

    `torch.utils.checkpoint` keeps the nodes of all the layer's operations, which lie in the memory that larger tensors
    have left, so that the next layer's do not fit there.
    """

    @staticmethod
    def forward(
        ctx: Any,
        first: Tensor,
        forward: Callable[..., Any],
        contexts: Callable[[list[Any]], Contexts],
        others: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Tensor:
        kept: list[Any] = []
        ctx.run, ctx.contexts = lambda at: forward(at, *others, **named), contexts
        # with a graph, which chooses the same kernels as the second time, but keeps nothing
        with torch.enable_grad(), saved_tensors_hooks(lambda _: None, _unused), contexts(kept)[0]:
            out = ctx.run(first.detach().requires_grad_())
        if not isinstance(out, Tensor):
            raise Unsuitable
        # what is saved is freed after use, unless the caller keeps the graph
        ctx.save_for_backward(first, *(value if isinstance(value, Tensor) else None for value in kept))
        ctx.kept = [None if isinstance(value, Tensor) else value for value in kept]
        return out.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        first, *saved = ctx.saved_tensors
        kept = [value if tensor is None else tensor for value, tensor in zip(ctx.kept, saved, strict=True)]
        further = torch.is_grad_enabled()  # the gradient is to be differentiated itself
        at = first.view_as(first) if further else first.detach().requires_grad_()
        with torch.enable_grad(), no_autocast(), ctx.contexts(kept)[1]:
            out = ctx.run(at)
        del saved, kept
        (found,) = torch.autograd.grad(out, at, gradients[0], create_graph=further)
        return found, None, None, None, None


def _unused(_: None) -> NoReturn:
    raise RuntimeError("the graph of a layer's first pass was used")
