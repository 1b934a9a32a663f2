"""Properties that are computed once, and with gradients once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import torch

T = TypeVar("T")


class Kept(Generic[T]):
    """A property whose value is kept by the object, one with gradients and one without.

    So an object that was measured under ``torch.no_grad()`` can be measured with gradients afterwards.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__
        self._name = compute.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> Kept[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        key = f"{self._name} {torch.is_grad_enabled()} {torch.is_inference_mode_enabled()}"
        if key not in instance.__dict__:
            instance.__dict__[key] = self._compute(instance)
        return instance.__dict__[key]
