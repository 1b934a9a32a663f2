"""Smaller batches when memory runs out."""

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
    """Memory ran out for one clip, or for several with gradients; the message says what to lower."""


class Batches:
    """Run batches, and halve them when memory runs out; later batches start with the last size that fitted.

    With gradients nothing is retried: half a batch frees nothing while the graph of the other half is kept.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def run(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], gradients: bool
    ) -> list[Result]:
        """Return `work(items)`, computed in as many parts as necessary.

        Args:
            work: computes one result an item.
            items: what to compute.
            gradients: whether `work` builds a graph.

        Raises:
            OutOfMemory: if one item alone doesn't fit, or if memory runs out with gradients.
        """
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
            # outside the except clause, so that the error and the tensors in its traceback are freed
            self._smaller(len(part))
        return done

    def _smaller(self, size: int) -> None:
        if self.most is None:
            warnings.warn(
                f"out of memory with {size} clips at once; continuing with fewer (batch_size={size // 2} avoids this)",
                RuntimeWarning,
                stacklevel=5,
            )
        self.most = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _of_memory(error: Exception) -> bool:
    """Return whether memory ran out; on a CPU only the message of torch's error shows it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _give_up(size: int, gradients: bool, error: Exception) -> None:
    """Raise `OutOfMemory` if fewer clips at once wouldn't help."""
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
    """Return whether `module` would record a graph: gradients are on, and its weights or `inputs` require one.

    Args:
        module: the network.
        inputs: tensors, or dataclasses of tensors.
    """
    if not torch.is_grad_enabled():
        return False
    return any(weight.requires_grad for weight in module.parameters()) or any(map(_wants_gradient, inputs))


def _wants_gradient(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    return is_dataclass(value) and any(_wants_gradient(getattr(value, field.name)) for field in fields(value))
