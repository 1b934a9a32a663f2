"""What a layer's first pass keeps for those of the backward pass: results that cost much time for their memory.

Attention: V. Korthikanti et al., Reducing activation recomputation in large transformer models, arXiv 2205.05198,
section 5. A linear map takes twice as many operations for each number of its result as its input has columns, so that
the last one of a feed-forward part is worth the most.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from avreward.raters.checkpoints._shelf import Shelf

_ATTENTION = frozenset(
    getattr(torch.ops.aten, name).default
    for name in (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention",
    )
    if hasattr(torch.ops.aten, name)
)
_PRODUCTS = frozenset((torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default))


def _is_kept(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether it is attention, or a product with fewer columns than are multiplied."""
    if func not in _PRODUCTS:
        return func in _ATTENTION
    first, second = args[-2:]
    return bool(first.shape[-1] > second.shape[-1])


class Keep(TorchDispatchMode):
    """Appends results to `kept`.

    A layer may change a product in place, so that a copy is kept; autograd forbids it to change those of attention.
    """

    def __init__(self, kept: list[Any], shelf: Shelf) -> None:
        super().__init__()
        self.kept, self.shelf = kept, shelf

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if _is_kept(func, args):
            results = out if isinstance(out, tuple) else (out,)
            self.kept += [self._held(each, func) if isinstance(each, Tensor) else each for each in results]
        return out

    def _held(self, result: Tensor, func: Any) -> Tensor:
        held = self.shelf.put(result)
        return held.clone() if func in _PRODUCTS and held.data_ptr() == result.data_ptr() else held


class Reuse(TorchDispatchMode):
    """Returns what was kept, in the same order; PyTorch's own selective checkpointing forgets it after use.

    A graph that is kept can so be differentiated again.
    """

    def __init__(self, kept: list[Any]) -> None:
        super().__init__()
        self.kept, self.used = kept, 0

    def __enter__(self) -> Self:
        self.used = 0
        return super().__enter__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not _is_kept(func, args):
            return func(*args, **(kwargs or {}))
        start, self.used = self.used, self.used + len(func._schema.returns)
        if func in _PRODUCTS:
            return self.kept[start].clone()
        # new tensors on the same memory: autograd marks those that an operation returns
        return tuple(each.detach() if isinstance(each, Tensor) else each for each in self.kept[start : self.used])
