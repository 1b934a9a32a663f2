"""Save a tuning run and go on with it: weights, optimizer, and what the loop remembers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Protocol

import torch

from avreward._whole_files import whole_file
from avreward.errors import AvrewardError
from avreward.generators.flow_generator import FlowGenerator
from avreward.training.generator.lora import fill_lora, lora_state


class TuningLoop(Protocol):
    """What `save_tuning` saves: any of the loops."""

    generator: FlowGenerator
    optimizer: torch.optim.Optimizer
    updates: int


def save_tuning(loop: TuningLoop, path: str | Path) -> Path:
    """Write the state of a loop, so that `load_tuning` goes on as if it had not stopped.

    The file appears whole or not at all. What the loop draws follows from its seed and the number of updates, so that
    no random state is saved.

    Args:
        loop: any of the loops, between two updates.
        path: of the file.

    Raises:
        OSError: if it can't be written.
    """
    state = {
        "loop": type(loop).__name__,
        "updates": loop.updates,
        "weights": lora_state(loop.generator.network),
        "optimizer": loop.optimizer.state_dict(),
        "old": getattr(loop, "old", None),
        "head": None if (head := getattr(loop, "head", None)) is None else head.state(),
    }
    content = io.BytesIO()  # torch's own writer does not say that a disk is full
    torch.save(state, content)
    with whole_file(Path(path)) as part:
        part.write_bytes(content.getbuffer())
    return Path(path)


def load_tuning(loop: TuningLoop, path: str | Path) -> None:
    """Read what `save_tuning` wrote into a loop made with the same settings.

    Nothing but tensors and plain values is read (``weights_only``).

    Raises:
        AvrewardError: if the file can't be read, is of another loop, or of other weights than those that the network
            trains.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        name, weights, old = state["loop"], state["weights"], state["old"]
        optimizer, updates, head = state["optimizer"], state["updates"], state["head"]
    except Exception as error:
        raise AvrewardError(f"{path}: expected a file that save_tuning wrote, got another one ({error})") from error
    if name != type(loop).__name__:
        raise AvrewardError(f"{path}: expected the state of {type(loop).__name__}, got that of {name}")
    fill_lora(loop.generator.network, weights, str(path))
    loop.optimizer.load_state_dict(optimizer)
    loop.updates = updates
    if head is not None and getattr(loop, "head", None) is not None:
        loop.head.restore(head)  # type: ignore[attr-defined]
    if old is not None:
        loop.old = old  # type: ignore[attr-defined]
