"""Dynamic batches: clips of several requests are rated together, and no clip waits long for others."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from avreward._serving.guard import RequestProblem

Item = TypeVar("Item")
Result = TypeVar("Result")

_SLOWEST = 60  # seconds: the longest pause that a client is asked for


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    since: float
    done: asyncio.Future[Result]


class DynamicBatches(Generic[Item, Result]):
    """Collect items, and work on up to `most` of them at once in a thread of their own.

    A batch begins when it is full, or when its first item has waited `wait` seconds. While a batch is worked on, the
    next one fills.

    Args:
        work: a batch → one result each, in order; it raises for a fault of its own alone.
        most: items in a batch.
        wait: seconds that the first item of a batch waits for others.
        queue: items that may be admitted at a time; more are refused with status 429.
        seen: called with the size of each batch (*optional*).
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        most: int,
        wait: float,
        queue: int,
        seen: Callable[[int], object] = lambda size: None,
    ) -> None:
        self.work, self.most, self.wait, self.queue, self.seen = work, most, wait, queue, seen
        self.admitted = 0
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._arrived: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="avreward-rating")
        self._seconds = 0.05  # a clip, as measured lately

    @contextmanager
    def room(self, count: int) -> Iterator[None]:
        """Admit `count` items for the time of the block.

        Raises:
            RequestProblem: with status 429 and the time after which there may be room, if there is none.
        """
        if self.admitted and self.admitted + count > self.queue:
            later = min(_SLOWEST, max(1, math.ceil(self.admitted * self._seconds)))
            raise RequestProblem(429, f"{self.admitted} clips are waiting; send these again later", later)
        self.admitted += count
        try:
            yield
        finally:
            self.admitted -= count

    async def results(self, items: Sequence[Item]) -> list[Result]:
        """Return the results of items, in order, once all are there."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            self._arrived = asyncio.Event()
            self._task = loop.create_task(self._run(self._arrived))
        waiting = [_Waiting(item, loop.time(), loop.create_future()) for item in items]
        self._waiting += waiting
        assert self._arrived is not None
        self._arrived.set()
        return list(await asyncio.gather(*(one.done for one in waiting)))

    def close(self) -> None:
        """End the thread, once its batch is done."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _run(self, arrived: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await arrived.wait()
            due = self._waiting[0].since + self.wait
            while len(self._waiting) < self.most and (left := due - loop.time()) > 0:
                arrived.clear()
                try:
                    await asyncio.wait_for(arrived.wait(), left)
                except TimeoutError:
                    break
            batch = [self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))]
            if not self._waiting:
                arrived.clear()
            else:
                arrived.set()
            await self._work(batch)

    async def _work(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        self.seen(len(batch))
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, self.work, [one.item for one in batch])
        except Exception as error:  # a bug: each request says so
            for one in batch:
                if not one.done.done():
                    one.done.set_exception(error)
            return
        self._seconds += 0.2 * ((time.monotonic() - started) / len(batch) - self._seconds)
        for one, result in zip(batch, found, strict=True):
            if not one.done.done():  # its request may have been given up
                one.done.set_result(result)
