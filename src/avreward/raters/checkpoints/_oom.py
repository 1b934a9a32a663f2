"""What happens when a batch doesn't fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from avreward.errors import AvrewardError

Item = TypeVar("Item")
Result = TypeVar("Result")


class OutOfMemory(AvrewardError):
    """One clip doesn't fit, or several don't and a gradient is wanted; the text says what to lower."""


class Batches:
    """Runs batches, and halves them when memory runs out; what fitted last is the size that later ones start with.

    With gradients nothing is retried: half a batch frees nothing while the graph of the other half is kept.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def run(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], gradients: bool
    ) -> list[Result]:
        """`work(items)`, in as many parts as it takes; `gradients`: whether it builds a graph."""
        done: list[Result] = []
        while len(done) < len(items):
            part = items[len(done) : len(done) + (self.most or len(items))]
            try:
                done += work(part)
                continue
            except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
                if not _of_memory(error):
                    raise
                _give_up(len(part), gradients, error)
            # only here is the error gone, and with it the tensors in its traceback
            self._smaller(len(part))
        return done

    def _smaller(self, size: int) -> None:
        if self.most is None:
            warnings.warn(
                f"out of memory with {size} clips at once; going on with fewer (batch_size={size // 2} avoids this)",
                RuntimeWarning,
                stacklevel=5,
            )
        self.most = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _of_memory(error: Exception) -> bool:
    """Whether memory ran out; on a CPU torch says so in words alone."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _give_up(size: int, gradients: bool, error: Exception) -> None:
    """Raises `OutOfMemory` where fewer clips at once wouldn't help."""
    if gradients:
        raise OutOfMemory(
            f"out of memory with gradients, {size} at once: pass fewer clips at once, load the rater with "
            "checkpointing=True or dtype='bfloat16', give shorter or smaller clips, or use torch.no_grad()"
        ) from error
    if size == 1:
        raise OutOfMemory(
            "out of memory with one clip: load the rater with dtype='bfloat16' or device_map='auto', or give a "
            "shorter or smaller clip"
        ) from error


def builds_graph(module: nn.Module, inputs: Sequence[Any]) -> bool:
    """Whether `module` would record a graph: gradients are on, and its weights or some of `inputs` want one.

    `inputs`: tensors, or dataclasses of them.
    """
    if not torch.is_grad_enabled():
        return False
    return any(weight.requires_grad for weight in module.parameters()) or any(map(_wants_gradient, inputs))


def _wants_gradient(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    return is_dataclass(value) and any(_wants_gradient(getattr(value, field.name)) for field in fields(value))
