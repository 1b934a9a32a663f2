"""Calls of a decoder that keep little for the backward pass, and let gradients through where values end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint


def slim(function: Callable[..., Any], *tensors: Any, keep: bool) -> Any:
    """``function(*tensors)``; unless `keep`, only the arguments are kept for the backward pass.

    What is dropped is computed again when its gradient is wanted. A function may call `slim` in turn: then no more than
    one inner call's tensors exist at a time.
    """
    wanted = torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)
    return checkpoint(function, *tensors, use_reentrant=False) if wanted and not keep else function(*tensors)


@contextmanager
def slim_calls(modules: Sequence[nn.Module], keep: bool) -> Iterator[None]:
    """Within, each call of one of `modules` is a `slim` one: a tile, a frame, a sound, as the autoencoder cuts them."""
    with ExitStack() as stack:
        for module in modules:
            plain = module.forward
            module.forward = partial(_forward, plain, keep)
            stack.callback(_restore, module, plain)
        yield


def _restore(module: nn.Module, plain: Callable[..., Any]) -> None:
    del module.forward
    if plain != module.forward:  # accelerate's hooks stand there, for example
        module.forward = plain


def _forward(forward: Callable[..., Any], keep: bool, *args: Any, feat_cache: Any = None, **kwargs: Any) -> Any:
    if feat_cache is None:
        return slim(partial(_unclamped, forward, **kwargs), *args, keep=keep)
    # Wan's decoder hands features from one frame to the next in a list that it changes: copied, or the second run of a
    # call would find what the first one left.
    result, features = slim(partial(_with_cache, forward, kwargs, len(args)), *args, *feat_cache, keep=keep)
    feat_cache[:] = features
    return result


def _with_cache(
    forward: Callable[..., Any], kwargs: dict[str, Any], count: int, *tensors: Any
) -> tuple[Any, list[Any]]:
    features = list(tensors[count:])
    return _unclamped(forward, *tensors[:count], feat_cache=features, **{**kwargs, "feat_idx": [0]}), features


class Unclamped(TorchFunctionMode):
    """Within, clamping to [-1, 1] does nothing; other clamping does what it did.

    Some autoencoders (Wan's) and vocoders end with it, and beyond the bounds it would stop the gradient.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.clamp, Tensor.clamp):
            bounds = [args[i] if len(args) > i else kwargs.get(name) for i, name in ((1, "min"), (2, "max"))]
            if all(isinstance(bound, Real) for bound in bounds) and bounds == [-1, 1]:
                return args[0]
        return func(*args, **kwargs)


def _unclamped(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with Unclamped():
        return function(*args, **kwargs)


def bend(values: Tensor, low: float, high: float, margin: float) -> Tensor:
    """`values` as they are inside [low, high]; beyond, bent so that they stay within `margin` of it, never flat.

    Beyond a bound by d, the value is beyond by d / (1 + d / margin), whose gradient is 1 / (1 + d / margin)².

    >>> bend(torch.tensor([0.5, 1.0, 1.25, 101.0]), 0.0, 1.0, 0.25)
    tensor([0.5000, 1.0000, 1.1250, 1.2494])
    """
    over, under = (values - high).relu(), (low - values).relu()
    inside = values - over + under
    return inside + over / (1 + over / margin) - under / (1 + under / margin)
