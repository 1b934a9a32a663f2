"""Set how many cores torch uses inside one operation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_core() -> Iterator[None]:
    """Make torch use one core for each operation, in this thread and in threads started within the context.

    Use it for many operations on small tensors, and for threads that work in parallel: torch's own threads wait for
    each other by spinning, which on a busy machine took seven times as long as one thread alone.

    Example:
        >>> with one_core():
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_SETTING = threading.Lock()


def settle(alone: bool) -> None:
    """Set how many cores torch uses in this new thread: one if `alone`, else the default.

    `torch.set_num_threads` sets the number for the calling thread and the default for new threads; a thread that does
    nothing else restores the default. Observed with torch 2.13.
    """
    with _SETTING:
        default = torch.get_num_threads()  # a thread takes the default when it first asks
        if alone:
            torch.set_num_threads(1)
            restore = threading.Thread(target=torch.set_num_threads, args=(default,))
            restore.start()
            restore.join()
