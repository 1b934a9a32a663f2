"""Memory for what is kept until the backward pass, side by side."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor

_BLOCK = 64 * 2**20  # bytes; larger than what glibc's allocator would put between other tensors
_ALIGNMENT = 64


class Shelf:
    """Copies tensors on CPUs into large blocks, so that they do not lie between others that are freed soon.

    A layer's results are small beside what it computes on the way, and an allocator that places one of them where a
    larger tensor was cannot give that place to a tensor as large as the first. What a block does not use costs nothing:
    the system gives memory when it is written. A block is freed when none of its tensors is used any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._block = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def put(self, tensor: Tensor) -> Tensor:
        """Return a copy of `tensor` without its graph; on other devices, and where it is large, `tensor` itself."""
        if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.nbytes > _BLOCK // 2:
            return tensor.detach()
        like = torch.empty_like(tensor, device="meta")  # dense, in the same order of axes
        with self._lock:
            if self._used + tensor.nbytes > len(self._block):
                self._block, self._used = torch.empty(_BLOCK, dtype=torch.uint8), 0
            block, start = self._block, self._used
            self._used += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
        # no view: those of one block would count each other's changes as their own
        place = torch.empty(0, dtype=tensor.dtype)
        place.set_(block.untyped_storage(), start // tensor.element_size(), tensor.shape, like.stride())
        return place.copy_(tensor.detach())


class Shelved(torch.autograd.Function):
    """The identity; its result lies on a shelf."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, shelf: Shelf) -> Tensor:
        return shelf.put(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
