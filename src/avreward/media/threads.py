"""How many cores torch uses inside one operation."""

from __future__ import annotations

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
