"""Processes that decode: started on demand, replaced when they end, and ended when they take too long."""

from __future__ import annotations

import os
import pickle
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeVar

from avreward.errors import AvrewardError, MediaError, describe
from avreward.media._container import FileStamp
from avreward.media._isolated.messages import Gone, Message, receive, send
from avreward.media._isolated.nursery import Nursery

T = TypeVar("T")

SECONDS, MEMORY = 600.0, 8 << 30
MANY = 32  # files of one run, above which they are decoded in processes of their own unless the caller says
_LEAVE_OUT = "the file is damaged, or made to break decoders: leave it out"
_SLOW = "leave it out, or pass isolate=False (--no-isolate)"
_AGAIN = "try it again"


class DecoderDied(MediaError):
    """A file whose decoding ended its process, or was ended since it took too long or too much memory."""


class _Blameless(Exception):
    """A worker that is lost by no fault of the file."""


class Job:
    """Work that a worker learns before it does it for the first time; equal jobs are learnt once.

    Args:
        module, function: what is called with `content` in the worker. It returns a function like those of `WORK`, which
            answers the requests.
        content: anything that can be pickled.

    Raises:
        Exception: whatever prevents that it is pickled.
    """

    def __init__(self, module: str, function: str, content: Any) -> None:
        self.module, self.function, self.content = module, function, pickle.dumps(content)
        about = f"{module} {function} ".encode() + self.content
        self.name = blake2b(about, digest_size=16).hexdigest()


@dataclass
class _Worker:
    connection: socket.socket
    pid: int
    learnt: set[str] = field(default_factory=set)
    served: bool = False

    @property
    def gone(self) -> bool:
        """Whether it has ended, or sends something unasked."""
        events = select.poll()
        events.register(self.connection, select.POLLIN)
        return bool(events.poll(0))

    def requests(self, kind: str | Job, content: Sequence[Any]) -> Iterator[Message]:
        """Yield what to send, in turn."""
        if isinstance(kind, Job):
            if kind.name not in self.learnt:
                yield Message("learn", (kind.name, kind.module, kind.function, kind.content))
                self.learnt.add(kind.name)
            kind = kind.name
        yield Message(kind, content)


class Workers:
    """A pool of worker processes; threads may share it.

    One process imports the package and forks a worker whenever none is free, so a worker that ended costs milliseconds.
    A file that ended one is not tried again.

    Args:
        seconds: how long a worker may work on one request without sending anything.
        memory: bytes that a worker may take beyond what it starts with.
        modules: names of modules to import before workers are forked.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY, modules: Sequence[str] = ()) -> None:
        self.seconds, self.memory, self.modules = seconds, memory, tuple(modules)
        self.died: dict[FileStamp, DecoderDied] = {}
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._nursery = Nursery(memory, self.modules)

    def ask(self, stamp: FileStamp, kind: str | Job, *content: Any, read: Callable[[Message], T]) -> Iterator[T]:
        """Yield what `read` makes of each message that answers a request.

        Where a worker is lost by no fault of the file, a new one is asked, unless the first has answered in part.

        Args:
            stamp: the file that the request is about.
            kind: a name in `WORK`, or a job.
            *content: what the work is called with.
            read: raises any error where a message is not what was asked for.

        Raises:
            MediaError: what the work raised in the worker.
            DecoderDied: if the worker ended, took too long, needed too much memory, or sent nonsense.
            AvrewardError: if the work failed in another way.
        """
        if (known := self.died.get(stamp)) is not None:
            raise DecoderDied(stamp.path, known.problem, known.remedy)
        for last in (False, True):
            given = False
            try:
                for answer in self._answers(self._take(new=last), stamp, kind, content, read):
                    given = True
                    yield answer
                return
            except _Blameless as lost:
                if given or last:
                    raise DecoderDied(stamp.path, str(lost), _AGAIN) from None

    def ask_once(self, stamp: FileStamp, kind: str | Job, *content: Any, read: Callable[[Message], T]) -> T:
        """Return what `read` makes of the only answer; see `ask`."""
        answers = list(self.ask(stamp, kind, *content, read=read))
        if len(answers) != 1:
            raise self._gave_up(stamp, f"its decoder sent nonsense ({len(answers)} answers)")
        return answers[0]

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.connection.close()
        self._nursery.close()

    def forget(self) -> None:
        """Leave the processes to the parent of this process, which was forked, such as one that loads batches."""
        self._lock, self._idle, self._nursery = threading.Lock(), [], Nursery(self.memory, self.modules)

    def _answers(
        self, worker: _Worker, stamp: FileStamp, kind: str | Job, content: Sequence[Any], read: Callable[[Message], T]
    ) -> Iterator[T]:
        keep, learns = False, False
        try:
            for request in worker.requests(kind, content):
                learns = request.kind == "learn"
                send(worker.connection, request)
                while (answer := receive(worker.connection)).kind in ("value", "item"):
                    yield read(answer)
                keep = answer.kind in ("end", "media error", "error")
                if answer.kind != "end":
                    raise self._problem(stamp, answer, worker)
        except TimeoutError:
            raise self._gave_up(stamp, f"decoding it took longer than {self.seconds:g} s", _SLOW) from None
        except (Gone, OSError):
            raise self._ended(stamp, worker, learns) from None
        except (AvrewardError, _Blameless):
            raise
        except Exception as error:
            raise self._gave_up(stamp, f"its decoder sent nonsense ({describe(error)})") from error
        finally:
            self._give_back(worker, keep)

    def _problem(self, stamp: FileStamp, answer: Message, worker: _Worker) -> Exception:
        """Return the error that a worker tells of."""
        if answer.kind == "media error":
            source, problem, remedy = answer.content
            return MediaError(str(source), str(problem), str(remedy))
        if answer.kind == "error":
            return AvrewardError(f"{stamp.path}: decoding it failed ({answer.content})")
        if answer.kind != "memory":
            return ValueError(f"an answer of the kind {answer.kind[:20]!r}")
        problem = f"decoding it needs more than {self.memory >> 20} MB of memory"
        # one that has worked before keeps some of it
        return _Blameless(problem) if worker.served else self._gave_up(stamp, problem)

    def _ended(self, stamp: FileStamp, worker: _Worker, learns: bool) -> Exception:
        ending = self._nursery.end(worker.pid)
        worker.pid = 0
        problem = f"its decoder ended ({ending.words})"
        return self._gave_up(stamp, problem) if ending.own and not learns else _Blameless(problem)

    def _gave_up(self, stamp: FileStamp, problem: str, remedy: str = _LEAVE_OUT) -> DecoderDied:
        error = self.died[stamp] = DecoderDied(stamp.path, problem, remedy)
        return error

    def _take(self, new: bool = False) -> _Worker:
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle and not new else None
            if worker is None:
                connection, pid = self._nursery.fork()
                connection.settimeout(self.seconds)
                return _Worker(connection, pid)
            if not worker.gone:
                return worker
            self._give_back(worker, keep=False)

    def _give_back(self, worker: _Worker, keep: bool) -> None:
        worker.served = True
        if keep:
            with self._lock:
                if self._nursery.running:
                    self._idle.append(worker)
                    return
        worker.connection.close()
        if worker.pid:
            self._nursery.end(worker.pid)


_active: list[Workers] = []  # the pool of the innermost `isolated`; one that several share is there as often
_entering = threading.Lock()


def _forget_all() -> None:
    global _entering
    _entering = threading.Lock()
    for pool in _active:
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)  # two processes on one connection would read each other's answers


def active() -> Workers | None:
    """Return the pool that decodes now, if any."""
    with _entering:
        return _active[-1] if _active else None


def isolated(workers: Workers | None = None) -> AbstractContextManager[Workers]:
    """Decode in other processes within the context, in all threads; the last that leaves a pool ends its processes."""
    return _entered(lambda: Workers() if workers is None else workers)


def isolated_for(files: object, isolate: bool | None, seconds: float | None = None) -> AbstractContextManager[object]:
    """Return a context like `isolated()` if `isolate` is true, or is `None` and there are many files.

    It shares the pool that is active when it is entered. Where the system can't fork, nothing is isolated. `seconds` is
    how long a decoder may be silent (*optional*).
    """
    wanted = isolate if isolate is not None else not isinstance(files, Sized) or len(files) > MANY
    if not wanted or not hasattr(os, "fork"):
        return nullcontext()
    return _entered(lambda: _active[-1] if _active else Workers() if seconds is None else Workers(seconds=seconds))


@contextmanager
def _entered(pool: Callable[[], Workers]) -> Iterator[Workers]:
    with _entering:
        own = pool()
        _active.append(own)
    try:
        yield own
    finally:
        with _entering:
            _active.remove(own)
            last = own not in _active
        if last:
            own.close()
