"""The process that imports the package and forks workers, as its parent sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from avreward.errors import AvrewardError
from avreward.media._isolated.messages import Gone

_OWN = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGXFSZ", "SIGXCPU"}  # of what a process does
_STOP = 5.0  # s that it may take to end


class Ending(NamedTuple):
    """How a process ended, in words, and whether by itself: a scheduler or a person may have ended it."""

    words: str
    own: bool


_UNKNOWN = Ending("for an unknown reason", False)


class Nursery:
    """Fork a worker when one is asked for; threads may share it. It starts with the first worker.

    Args:
        memory: bytes that a worker may take beyond what it starts with.
        modules: names of modules to import before workers are forked.
    """

    def __init__(self, memory: int, modules: Sequence[str]) -> None:
        self._arguments = (str(memory), *modules)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether there may be workers."""
        return self._control is not None

    def fork(self) -> tuple[socket.socket, int]:
        """Return a connection to a new worker, and its process number."""
        with self._lock:
            for _ in range(2):  # somebody may have ended the process
                with suppress(OSError, Gone):
                    return self._forked()
                self._stop()
        raise AvrewardError("isolate: the process that starts decoders can't be started; pass isolate=False")

    def end(self, pid: int) -> Ending:
        """End a worker, unless it has ended, and return how."""
        from avreward.media._isolated.worker import END, PID

        with self._lock:
            if self._control is None:
                return _UNKNOWN
            answer = b""
            with suppress(OSError):
                self._control.sendall(END + PID.pack(pid))
                answer = self._control.recv(PID.size, socket.MSG_WAITALL)
            if len(answer) < PID.size:
                self._stop()
                return _UNKNOWN
        [status] = PID.unpack(answer)
        if status == 0:
            return _UNKNOWN
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return Ending(name, name in _OWN)
        return Ending(f"exit status {os.WEXITSTATUS(status)}", True)

    def close(self) -> None:
        """End it, and all workers."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        control, process, self._control, self._process = self._control, self._process, None, None
        if control is not None:
            control.close()
        if process is not None:
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _forked(self) -> tuple[socket.socket, int]:
        from avreward.media._isolated.worker import FORK, PID

        ours, theirs = socket.socketpair()
        try:
            with theirs:
                control = self._started()
                socket.send_fds(control, [FORK], [theirs.fileno()])
                answer = control.recv(PID.size, socket.MSG_WAITALL)
            if len(answer) < PID.size:
                raise Gone
        except BaseException:
            ours.close()
            raise
        return ours, PID.unpack(answer)[0]

    def _started(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            # -P: the folder in which a command runs may hold files named like modules
            command = [sys.executable, "-P", "-m", "avreward.media._isolated.worker"]
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter
                    [*command, str(theirs.fileno()), *self._arguments],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # an interrupt from the keyboard is for the parent, which then closes
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))},
                )
        return self._control
