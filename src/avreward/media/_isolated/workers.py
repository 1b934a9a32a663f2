"""Processes that decode: started on demand, replaced when they end, and ended when they take too long."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from avreward.errors import AvrewardError, MediaError
from avreward.media._container import FileStamp
from avreward.media._isolated.messages import Gone, Message, receive, send

SECONDS, MEMORY = 600.0, 8 << 30
MANY = 32  # files of one run, above which they are decoded in processes of their own unless the caller says
_REMEDY = "the file is damaged, or made to break decoders: leave it out"


class DecoderDied(MediaError):
    """A file whose decoding ended its process, or was ended since it took too long or too much memory."""


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
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def ask(self, stamp: FileStamp, kind: str | Job, *content: Any) -> Iterator[Message]:
        """Yield the messages that answer a request about the file of `stamp`: a kind of `WORK`, or a job.

        Raises:
            MediaError: what the work raised in the worker.
            DecoderDied: if the worker ended, took too long, or needed too much memory.
        """
        if stamp in self.died:
            raise self.died[stamp]
        worker = self._take()
        done = False
        try:
            for request in worker.requests(kind, content):
                send(worker.connection, request)
                while (answer := receive(worker.connection)).kind in ("value", "item"):
                    yield answer
                if answer.kind != "end":
                    break
            done = True
        except TimeoutError:
            problem = f"decoding it took longer than {self.seconds:g} s"
            raise self._gave_up(stamp, problem) from None
        except (Gone, OSError):
            raise self._gave_up(stamp, f"its decoder ended ({self._end(worker)})") from None
        except ValueError as error:
            raise self._gave_up(stamp, f"its decoder sent nonsense ({error})") from error
        finally:
            self._give_back(worker, done)
        if answer.kind == "media error":
            raise MediaError(*answer.content)
        if answer.kind == "memory":
            raise self._gave_up(stamp, f"decoding it needs more than {self.memory >> 20} MB of memory")
        if answer.kind == "error":
            raise AvrewardError(f"{stamp.path}: decoding it failed ({answer.content})")

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for worker in self._idle:
                worker.connection.close()
            self._idle.clear()
            if self._control is not None and self._nursery is not None:
                self._control.close()
                self._nursery.wait()
            self._control = self._nursery = None

    def forget(self) -> None:
        """Leave the processes to the parent of this process, which was forked, such as one that loads batches."""
        self._lock = threading.Lock()
        self._idle, self._nursery, self._control = [], None, None

    def _gave_up(self, stamp: FileStamp, problem: str) -> DecoderDied:
        error = self.died[stamp] = DecoderDied(stamp.path, problem, _REMEDY)
        return error

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            for _ in range(2):  # the process that forks may have been ended by somebody
                try:
                    return self._fork()
                except (OSError, Gone):
                    self._control = self._nursery = None
            raise AvrewardError("isolate: the process that starts decoders can't be started; pass isolate=False")

    def _fork(self) -> _Worker:
        from avreward.media._isolated.worker import FORK, PID

        ours, theirs = socket.socketpair()
        with theirs:
            control = self._started()
            socket.send_fds(control, [FORK], [theirs.fileno()])
            answer = control.recv(PID.size, socket.MSG_WAITALL)
        if len(answer) < PID.size:
            ours.close()
            raise Gone
        ours.settimeout(self.seconds)
        return _Worker(ours, PID.unpack(answer)[0])

    def _started(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            module = "avreward.media._isolated.worker"
            with theirs:
                command = [sys.executable, "-m", module, str(theirs.fileno()), str(self.memory), *self.modules]
                self._nursery = subprocess.Popen(  # noqa: S603  # this interpreter
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # an interrupt from the keyboard is for the parent, which then closes
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
        return self._control

    def _end(self, worker: _Worker) -> str:
        """Return how a worker ended, in words."""
        from avreward.media._isolated.worker import PID, WAIT

        with self._lock, suppress(OSError, ValueError):
            control = self._started()
            control.sendall(WAIT + PID.pack(worker.pid))
            [status] = PID.unpack(control.recv(PID.size, socket.MSG_WAITALL))
            worker.pid = 0
            if os.WIFSIGNALED(status):
                return signal.Signals(os.WTERMSIG(status)).name
            return f"exit status {os.WEXITSTATUS(status)}"
        return "for an unknown reason"

    def _give_back(self, worker: _Worker, done: bool) -> None:
        if done and self._control is not None:
            with self._lock:
                self._idle.append(worker)
            return
        worker.connection.close()
        if worker.pid:
            with suppress(OSError):
                os.kill(worker.pid, signal.SIGKILL)
            self._end(worker)


_active: list[Workers] = []  # the pool of the innermost `isolated`


def _forget_all() -> None:
    for pool in _active:
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)  # two processes on one connection would read each other's answers


def active() -> Workers | None:
    """Return the pool that decodes now, if any."""
    return _active[-1] if _active else None


@contextmanager
def isolated(workers: Workers | None = None) -> Iterator[Workers]:
    """Decode in other processes within the context, in all threads."""
    own = Workers() if workers is None else workers
    _active.append(own)
    try:
        yield own
    finally:
        _active.remove(own)
        own.close()


def isolated_for(files: object, isolate: bool | None, seconds: float | None = None) -> AbstractContextManager[object]:
    """Return `isolated()` if `isolate` is true, or is `None` and there are many files, unless a pool is active already.

    Where the system can't fork, nothing is isolated. `seconds` is how long a decoder may be silent (*optional*).
    """
    wanted = isolate if isolate is not None else not isinstance(files, Sized) or len(files) > MANY
    if not wanted or active() is not None or not hasattr(os, "fork"):
        return nullcontext()
    return isolated(None if seconds is None else Workers(seconds=seconds))
