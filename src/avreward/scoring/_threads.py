"""Run two stages of work on many items in overlapping threads, in order and with bounded memory."""

from __future__ import annotations

import atexit
import heapq
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

AHEAD = 32  # results that may wait for a slow item before them


@dataclass(frozen=True)
class _StageFailure:
    error: BaseException


@dataclass(frozen=True)
class Stages(Generic[Item, Loaded, Result]):
    """The work of the two stages, and the number of threads for each.

    Args:
        load: item → the input of `work`; loaded items are large, so few of them exist at a time.
        work: a batch of loaded items → one result each, in order.
        load_threads, work_threads: how many threads run each.
        waiting: how many items may be loaded, or be loading, before `work` takes them.
        batch: how many loaded items `work` takes at most; it never waits for an item that is not being loaded.
        enter: called once in each thread before it starts, with whether it is a thread of `work` (*optional*).
    """

    load: Callable[[Item], Loaded]
    work: Callable[[Sequence[Loaded]], Sequence[Result]]
    load_threads: int = 1
    work_threads: int = 1
    waiting: int = 2
    batch: int = 1
    enter: Callable[[bool], None] | None = None

    def run(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results of `items`, in their order, as soon as they are ready.

        Items are read in the caller's thread, at most `AHEAD` beyond those in work before the one that is yielded. An
        exception of a stage, or of `items`, is raised in place of that item's result, after the results before it.
        Closing the iterator drops the waiting items and returns when each thread has finished its current item.

        >>> list(Stages(load=abs, work=lambda batch: [n * 10 for n in batch]).run([-1, 2, -3]))
        [10, 20, 30]
        """
        run = _StageThreads(self)
        # An iterator that is still open when Python exits would leave threads behind that touch a dying interpreter.
        atexit.register(run.stop)
        try:
            run.start()
            for item in _read(items):
                run.put(item)
                while run.full or run.head_ready:
                    yield run.take()
            while run.outstanding:
                yield run.take()
        finally:
            if not sys.is_finalizing():
                atexit.unregister(run.stop)
                run.stop()


def _read(items: Iterable[Item]) -> Iterator[Item | _StageFailure]:
    """Yield the items, and the exception that ends them, if one does."""
    try:
        for item in items:  # noqa: UP028  # `yield from` would close the caller's iterator
            yield item
    except Exception as error:
        yield _StageFailure(error)


class _StageThreads:
    """The state of one run, guarded by `changed`; only the caller's thread writes `given` and `taken`."""

    def __init__(self, stages: Stages[Any, Any, Any]) -> None:
        self.stages = stages
        self.window = AHEAD + stages.waiting + stages.batch * stages.work_threads
        self.changed = threading.Condition()
        self.todo: deque[tuple[int, Any]] = deque()
        self.loading = 0
        self.loaded: list[tuple[int, Any]] = []  # a heap: the earliest item is worked on first
        self.done: dict[int, Any] = {}
        self.given = self.taken = 0
        self.stopped = False
        self.crash: BaseException | None = None
        roles = [False] * stages.load_threads + [True] * stages.work_threads
        # Daemons, so that a second Ctrl-C ends the program even while a thread is inside a long decode.
        self.threads = [threading.Thread(target=self.loop, args=(works,), daemon=True) for works in roles]
        self.entered = 0

    def start(self) -> None:
        """Start the threads, and wait until `enter` has run in each, so that its settings hold for the first item."""
        for thread in self.threads:
            thread.start()
        with self.changed:
            self.changed.wait_for(lambda: self.crash or self.entered == len(self.threads))

    @property
    def outstanding(self) -> int:
        return self.given - self.taken

    @property
    def full(self) -> bool:
        return self.outstanding >= self.window

    @property
    def head_ready(self) -> bool:
        return self.taken in self.done

    def put(self, item: Any) -> None:
        with self.changed:
            if isinstance(item, _StageFailure):
                self.done[self.given] = item
            else:
                self.todo.append((self.given, item))
            self.given += 1
            self.changed.notify_all()

    def take(self) -> Any:
        """Return the next result in order, or raise its item's exception."""
        with self.changed:
            self.changed.wait_for(lambda: self.head_ready or self.crash)
            if self.crash:
                raise self.crash
            result = self.done.pop(self.taken)
            self.taken += 1
        if isinstance(result, _StageFailure):
            raise result.error
        return result

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        # The garbage collector may close a forgotten iterator from inside one of its own threads.
        if threading.current_thread() not in self.threads:
            for thread in self.threads:
                if thread.ident is not None:  # it was started
                    thread.join()

    def loop(self, works: bool) -> None:
        try:
            if self.stages.enter:
                self.stages.enter(works)
            with self.changed:
                self.entered += 1
                self.changed.notify_all()
            step = self.work_some if works else self.load_one
            while step():
                pass
        except BaseException as error:  # not of an item: without this, the caller would wait for ever
            with self.changed:
                self.crash = error
                self.changed.notify_all()

    def load_one(self) -> bool:
        """Load the next item when it fits into memory; return `False` at the end of the run."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or (self.todo and self.held < self.stages.waiting))
            if self.stopped:
                return False
            index, item = self.todo.popleft()
            self.loading += 1
        try:
            loaded = self.stages.load(item)
        except BaseException as error:
            self.finish([index], [_StageFailure(error)], loading=1)
            return True
        with self.changed:
            self.loading -= 1
            heapq.heappush(self.loaded, (index, loaded))
            self.changed.notify_all()
        return True

    @property
    def held(self) -> int:
        return self.loading + len(self.loaded)

    def work_some(self) -> bool:
        """Work on the next batch; return `False` at the end of the run."""
        indices: list[int] = []
        batch: list[Any] = []
        while len(batch) < self.stages.batch:
            with self.changed:
                # An incomplete batch waits only while more items are being loaded.
                self.changed.wait_for(
                    lambda: self.stopped or self.loaded or (batch and not self.loading and not self.todo)
                )
                if self.stopped:
                    return False
                if not self.loaded:
                    break
                index, loaded = heapq.heappop(self.loaded)
                self.changed.notify_all()  # another item may be loaded
            indices.append(index)
            batch.append(loaded)
        try:
            results = self.stages.work(batch)
        except BaseException as error:
            results = [_StageFailure(error)] * len(batch)
        self.finish(indices, results)
        return True

    def finish(self, indices: Sequence[int], results: Sequence[Any], loading: int = 0) -> None:
        with self.changed:
            self.loading -= loading
            self.done.update(zip(indices, results, strict=True))
            self.changed.notify_all()
