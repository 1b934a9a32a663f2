"""The settings of torch that belong to a thread, carried over to another one."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

import torch

AUTOCAST = ("cpu", "cuda", "xpu", "mps")


class ThreadSettings:
    """The caller's autocast, inference mode, gradient mode, default device and current GPU, for use in another thread.

    The default dtype holds in all threads anyway.

    Example:
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     settings = ThreadSettings()
        >>> with settings:
        ...     torch.is_autocast_enabled("cpu")
        True
    """

    def __init__(self) -> None:
        # Asking for the state of a device without support is an error.
        kinds = [kind for kind in AUTOCAST if torch.amp.is_autocast_available(kind)]
        self._autocast = [(kind, torch.get_autocast_dtype(kind)) for kind in kinds if torch.is_autocast_enabled(kind)]
        self._cache = torch.is_autocast_cache_enabled()
        self._gradient, self._inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        self._device = torch.get_default_device()
        self._gpu = torch.cuda.current_device() if torch.cuda.is_initialized() else None
        self._stack = ExitStack()

    def __enter__(self) -> None:
        if self._gpu is not None:
            torch.cuda.set_device(self._gpu)
        if self._device != torch.get_default_device():
            self._stack.enter_context(self._device)
        self._stack.enter_context(torch.inference_mode(self._inference))
        self._stack.enter_context(torch.set_grad_enabled(self._gradient))
        for kind, dtype in self._autocast:
            self._stack.enter_context(torch.autocast(kind, dtype, cache_enabled=self._cache))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
