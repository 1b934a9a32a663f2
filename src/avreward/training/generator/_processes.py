"""Several processes that train one generator: each draws for its own conditions, and gradients are averaged.

A process group of `torch.distributed` makes them one run: `torchrun` and `accelerate launch` start processes, and
`accelerate.Accelerator` or ``init_process_group`` makes the group. Without one, everything here is for one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


def process_rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _grouped() else 0


def process_count() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if _grouped() else 1


def condition_draw(draw: torch.Generator, number: int, count: int) -> torch.Generator:
    """Return what a condition of an update draws from.

    It follows from the condition's place in the whole batch, so that several processes draw together what one with the
    whole batch draws.

    Args:
        draw: of the update, see `begin_update`.
        number: of the condition in this process, from 0.
        count: how many conditions each process has.
    """
    place = process_rank() * count + number
    return torch.Generator().manual_seed((draw.initial_seed() * 1_000_003 + place) % 2**63)


def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its mean over the processes; one that some processes lack counts as 0 there.

    A parameter that has a gradient in no process keeps none, so that the optimizer leaves it as one process would.
    """
    if process_count() == 1:
        return
    there = from_all([parameter.grad is not None for parameter in parameters])
    for parameter, own in zip(parameters, zip(*there, strict=True), strict=True):
        if not any(own):
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
        parameter.grad /= process_count()


def from_all(value: T) -> list[T]:
    """Return what every process passed, in the order of the processes."""
    if process_count() == 1:
        return [value]
    found: list[Any] = [None] * process_count()
    distributed.all_gather_object(found, value)
    return found


def _grouped() -> bool:
    return distributed.is_available() and distributed.is_initialized()
