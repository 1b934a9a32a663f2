"""Keep signal processing in the precision of its input, whatever the precision of the surrounding model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def full_precision(function: Function) -> Function:
    """Make `function`, whose first argument is a tensor, ignore `torch.autocast`.

    Scores must not depend on whether the caller trains under autocast: a mel matrix multiplied in bfloat16 is off by
    one part in 256.

    >>> double = full_precision(lambda x: x @ torch.eye(2) * 2)
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     double(torch.ones(1, 2)).dtype
    torch.float32
    """

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        tensor = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(tensor.device.type, enabled=False):
            return function(*args, **kwargs)

    return cast(Function, guarded)


@contextmanager
def no_autocast() -> Iterator[None]:
    """Cast nothing to half precision inside this block, so that scores do not depend on `torch.autocast`.

    >>> with torch.autocast("cpu", torch.bfloat16), no_autocast():
    ...     (torch.eye(2) @ torch.eye(2)).dtype
    torch.float32
    """
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield


def widened(tensor: Tensor) -> Tensor:
    """Return `tensor` itself if it is float32 or float64, else as float32.

    >>> widened(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def precise(tensor: Tensor) -> Tensor:
    """Return a float32 signal as float64 where torch would round it in a convolution, else the tensor itself.

    Convolutions follow `torch.set_float32_matmul_precision` on CPUs, and are in TF32 on GPUs unless it is switched off.
    """
    rounded = tensor.device.type != "cpu" or torch.get_float32_matmul_precision() != "highest"
    return tensor.double() if rounded and tensor.dtype == torch.float32 and tensor.device.type != "mps" else tensor


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right`` of signal processing in full precision.

    ``@`` follows `torch.set_float32_matmul_precision`, which a trainer sets for its network: TF32 on GPUs, bfloat16 on
    CPUs.

    >>> product(torch.eye(2), torch.tensor([[1.001], [2.0]]))
    tensor([[1.0010],
            [2.0000]])
    """
    if torch.get_float32_matmul_precision() == "highest" or left.device.type == "mps":  # which has no float64
        return left @ right
    return (left.double() @ right.double()).to(left.dtype)
