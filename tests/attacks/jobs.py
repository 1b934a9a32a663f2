"""Jobs that a worker learns, for tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

from avreward.media._isolated.messages import Message


def counting(start: int) -> Callable[..., Iterator[Message]]:
    """Answer with the number of requests before, from `start`, and the process."""
    state = [start]

    def answer(step: int) -> Iterator[Message]:
        yield Message("value", [state[0], os.getpid()])
        state[0] += step

    return answer


def refusing(content: Any) -> Callable[..., Iterator[Message]]:
    """Can't be learnt."""
    raise RuntimeError(f"no {content}")


def dying(content: Any) -> Callable[..., Iterator[Message]]:
    """End the process at each request."""

    def answer() -> Iterator[Message]:
        os.kill(os.getpid(), signal.SIGSEGV)
        yield Message("value", None)

    return answer
