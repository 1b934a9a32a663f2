"""Frames that are independent of each other, a few at a time.

On a CPU, memory for large intermediate results comes from the system anew at each step and is written through the
caches: half the time of an activation. A few frames at a time are faster and need less of it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

PIECE = 2  # frames; the fewest that a connector joins


def in_pieces(network: Callable[[Tensor], Tensor], frames: Tensor, owner: nn.Module, axis: int = 0) -> Tensor:
    """Return `network(frames)`, computed for `PIECE` frames at a time where that is faster.

    Not on accelerators, and not where gradients are recorded: the graph keeps what is computed in any case.

    Args:
        network: maps frames to a result of which each `PIECE` of frames gives its own part, in order.
        frames: the frames along `axis`.
        owner: the module whose weights `network` uses.
        axis: of the frames, and of their parts in the result.

    Example:
        >>> in_pieces(lambda x: x + 1, torch.arange(3), nn.Identity())
        tensor([1, 2, 3])
    """
    weights = owner.parameters()
    recorded = torch.is_grad_enabled() and (frames.requires_grad or any(weight.requires_grad for weight in weights))
    if frames.device.type != "cpu" or recorded:
        return network(frames)
    return torch.cat([network(piece) for piece in frames.split(PIECE, axis)], axis)
