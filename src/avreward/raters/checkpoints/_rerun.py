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

    A cache is refused: its entries are results too.
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
    return value is None or isinstance(value, bool | int | float | str)


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
        contexts: Contexts,
        others: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Tensor:
        ctx.save_for_backward(first)
        ctx.run = lambda at: forward(at, *others, **named)
        ctx.again = contexts[1]
        # with a graph, which chooses the same kernels as the second time, but keeps nothing
        with torch.enable_grad(), saved_tensors_hooks(lambda _: None, _unused), contexts[0]:
            out = ctx.run(first.detach().requires_grad_())
        if not isinstance(out, Tensor):
            raise Unsuitable
        return out.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (first,) = ctx.saved_tensors
        further = torch.is_grad_enabled()  # the gradient is to be differentiated itself
        at = first.view_as(first) if further else first.detach().requires_grad_()
        with torch.enable_grad(), no_autocast(), ctx.again:
            out = ctx.run(at)
        (found,) = torch.autograd.grad(out, at, gradients[0], create_graph=further)
        return found, None, None, None, None


def _unused(_: None) -> NoReturn:
    raise RuntimeError("the graph of a layer's first pass was used")
