"""What happens when a batch doesn't fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

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

    def run(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """`work(items)`, in as many parts as it takes."""
        done: list[Result] = []
        while len(done) < len(items):
            part = items[len(done) : len(done) + (self.most or len(items))]
            try:
                done += work(part)
            except torch.OutOfMemoryError as error:
                self._smaller(len(part), error)
        return done

    def _smaller(self, size: int, error: Exception) -> None:
        if torch.is_grad_enabled():
            raise OutOfMemory(
                f"out of memory with the gradients of {size} clips: pass fewer clips at once, load the rater with "
                "checkpointing=True or dtype='bfloat16', give shorter or smaller clips, or use torch.no_grad()"
            ) from error
        if size == 1:
            raise OutOfMemory(
                "out of memory with one clip: load the rater with dtype='bfloat16' or device_map='auto', or give a "
                "shorter or smaller clip"
            ) from error
        if self.most is None:
            warnings.warn(
                f"out of memory with {size} clips at once; going on with fewer (batch_size={size // 2} avoids this)",
                RuntimeWarning,
                stacklevel=5,
            )
        self.most = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
