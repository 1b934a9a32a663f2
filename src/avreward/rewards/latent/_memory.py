"""Run decoders with gradient checkpointing, and without the final clamp that would stop gradients."""

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
    """Return ``function(*tensors)``; unless `keep`, store only the arguments for the backward pass.

    Everything else is recomputed in the backward pass. A function may itself call `slim`: then the tensors of only one
    inner call exist at a time.
    """
    wanted = torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)
    return checkpoint(function, *tensors, use_reentrant=False) if wanted and not keep else function(*tensors)


@contextmanager
def slim_calls(modules: Sequence[nn.Module], keep: bool) -> Iterator[None]:
    """Within the context, run each call of `modules` by `slim`: a tile, a frame or a waveform at a time."""
    with ExitStack() as stack:
        for module in modules:
            plain = module.forward
            module.forward = partial(_forward, plain, keep)
            stack.callback(_restore, module, plain)
        yield


def _restore(module: nn.Module, plain: Callable[..., Any]) -> None:
    del module.forward
    if plain != module.forward:  # it was an attribute of the instance, such as accelerate's hook
        module.forward = plain


def _forward(forward: Callable[..., Any], keep: bool, *args: Any, feat_cache: Any = None, **kwargs: Any) -> Any:
    if feat_cache is None:
        return slim(partial(_unclamped, forward, **kwargs), *args, keep=keep)
    # Wan's decoder passes features from frame to frame in a list that it changes: copy it, or recomputing a call would
    # start from the features that the first run left.
    result, features = slim(partial(_with_cache, forward, kwargs, len(args)), *args, *feat_cache, keep=keep)
    feat_cache[:] = features
    return result


def _with_cache(
    forward: Callable[..., Any], kwargs: dict[str, Any], count: int, *tensors: Any
) -> tuple[Any, list[Any]]:
    features = list(tensors[count:])
    return _unclamped(forward, *tensors[:count], feat_cache=features, **{**kwargs, "feat_idx": [0]}), features


class Unclamped(TorchFunctionMode):
    """Context in which clamping to [-1, 1] does nothing; other clamping is unchanged.

    Some autoencoders (Wan's) and vocoders end with such a clamp, which stops the gradient beyond the bounds.
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
    """Return `values`, unchanged inside [low, high] and compressed to stay within `margin` of it outside.

    A value beyond a bound by d moves to d / (1 + d / margin) beyond it; the gradient 1 / (1 + d / margin)² is never 0.

    >>> bend(torch.tensor([0.5, 1.0, 1.25, 101.0]), 0.0, 1.0, 0.25)
    tensor([0.5000, 1.0000, 1.1250, 1.2494])
    """
    over, under = (values - high).relu(), (low - values).relu()
    inside = values - over + under
    return inside + over / (1 + over / margin) - under / (1 + under / margin)
