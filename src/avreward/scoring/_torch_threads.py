"""How many cores this process may use, and torch inside one operation."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def cores() -> int:
    """Return how many cores this process may use: under ``torchrun`` its share, unless it is bound to some already."""
    there = os.cpu_count() or 1
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    beside = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, mine // int(beside)) if mine == there and re.fullmatch("[1-9][0-9]{0,5}", beside) else mine


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
