"""The process that forks workers, and the loop of a worker: ``python -m avreward.media._isolated.worker FD MEMORY``."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import torch

from avreward.errors import MediaError, describe
from avreward.media._isolated.messages import Gone, Message, receive, send
from avreward.media._isolated.work import WORK, out_of_memory

PID = struct.Struct("<q")
FORK, END = b"f", b"e"


def main(descriptor: int, memory: int, modules: list[str]) -> None:
    """Fork a worker for each connection that comes over the control socket, until it closes."""
    for module in modules:
        import_module(module)
    torch.set_num_threads(1)
    control = socket.socket(fileno=descriptor)
    alive: set[int] = set()
    with suppress(OSError):  # the parent has ended
        while True:
            request, descriptors, _, _ = socket.recv_fds(control, 1 + PID.size, 1)
            if not request:
                break
            if request[:1] == FORK:
                pid = _forked(control, descriptors[0], memory)
                alive.add(pid)
                control.sendall(PID.pack(pid))
            else:
                [pid] = PID.unpack(request[1:])
                control.sendall(PID.pack(_ended(pid) if pid in alive else 0))
                alive.discard(pid)
    for pid in alive:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)  # tearing torch down takes long


def _forked(control: socket.socket, descriptor: int, memory: int) -> int:
    """Return the process number of a new worker, which serves the connection and never returns."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(BaseException):  # what it could say, nobody reads
            control.close()
            _serve(socket.socket(fileno=descriptor), memory)
            status = 0
        os._exit(status)
    os.close(descriptor)
    return pid


def _ended(pid: int) -> int:
    """Return the status of a child that has ended, or is ended now."""
    os.kill(pid, signal.SIGKILL)  # which changes nothing for one that is ending already
    return os.waitpid(pid, 0)[1]


def _serve(connection: socket.socket, memory: int) -> None:
    """Answer requests until the connection closes."""
    _restrict(memory)
    while True:
        try:
            request = receive(connection, trusted=True)
        except Gone:
            return
        try:
            if request.kind == "learn":
                _learn(*request.content)
            else:
                for answer in WORK[request.kind](*request.content):
                    send(connection, answer)
        except MediaError as error:
            send(connection, Message("media error", (error.source, error.problem, error.remedy)))
        except Exception as error:
            send(connection, Message("memory") if out_of_memory(error) else Message("error", describe(error)))
        else:
            send(connection, Message("end"))


def _learn(name: str, module: str, function: str, content: bytes) -> None:
    """Add a job to the work that this process can do."""
    WORK[name] = getattr(import_module(module), function)(pickle.loads(content))  # noqa: S301  # of the parent


def _restrict(memory: int) -> None:
    """Limit what this process may take: memory beyond what it has, no core dumps, no files written."""
    used = 0
    with suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for kind, most in ((resource.RLIMIT_AS, used + memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with suppress(OSError, ValueError):  # a lower limit may hold already
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
