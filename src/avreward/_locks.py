"""One run at a time for an output: a lock file beside it that says who writes, and that no killed run leaves behind."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from avreward._parsing import parsed_json
from avreward.errors import AvrewardError

_PAUSE = 0.05  # seconds between two attempts
_REMEDY = "wait for it to end, or choose another output"
_TAKEN = (errno.EAGAIN, errno.EACCES)
_HELD: dict[str, int] = {}  # lock files that this process holds → the thread that does
_BOOK = threading.Lock()  # held while `_HELD` is looked at


class OutputInUse(AvrewardError):
    """Another run is writing to an output; it names its process."""


@contextmanager
def claimed(path: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold an output while the body runs: no other thread or process holds it meanwhile.

    The lock is the operating system's (``flock``) on a hidden file beside `path`, so that it ends with its process; the
    file says which process holds it, on which machine, since when. A thread that holds it may claim it again. Where
    locks can't be made (Windows, a folder that can't be written), only threads of this process are kept out.

    Args:
        path: the file or folder that is written.
        wait: seconds to wait for another run (*optional*, none).

    Raises:
        OutputInUse: if another run holds it after that time.
    """
    lock, until = _lock_file(path), time.monotonic() + wait
    if _HELD.get(str(lock)) == threading.get_ident():
        yield
        return
    while not _noted(lock):
        if time.monotonic() >= until:
            raise OutputInUse(f"{path}: another thread of process {os.getpid()} is writing it; {_REMEDY}")
        time.sleep(_PAUSE)
    file = None
    try:
        file = _locked(lock, path, until)
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                lock.unlink(missing_ok=True)  # before it is free: whoever waits for this file finds that it is gone
            file.close()
        with _BOOK:
            del _HELD[str(lock)]


def remove_if_free(lock: Path) -> None:
    """Remove the lock file of a run that was killed; one that is held stays."""
    with suppress(OSError), lock.open("rb") as file:
        if _try(file) and _same(file, lock):
            lock.unlink(missing_ok=True)


def is_lock(name: str) -> bool:
    """Return whether a file name is that of a lock."""
    return name.startswith(".") and name.endswith(".avreward-lock")


def _noted(lock: Path) -> bool:
    """Note that this thread holds a lock file, unless another one of this process does."""
    with _BOOK:
        return _HELD.setdefault(str(lock), threading.get_ident()) == threading.get_ident()


def _lock_file(path: Path) -> Path:
    folder = Path(os.path.realpath(path.absolute().parent))
    name = path.absolute().name
    return folder / f".{name[:40]}.{zlib.crc32(os.fsencode(name)):08x}.avreward-lock"


def _locked(lock: Path, path: Path, until: float) -> IO[str] | None:
    """Return the lock file, open and held; `None` where there are no locks."""
    if sys.platform == "win32":
        return None
    while True:
        try:
            file = os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644), "r+")
        except OSError:  # the one who writes says what is wrong with the place
            return None
        try:
            if _try(file):
                if _same(file, lock):
                    _sign(file)
                    return file
            elif time.monotonic() >= until:
                raise OutputInUse(f"{path}: {_holder(file)}; {_REMEDY}")
            else:
                time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            file.close()
            return None
        except BaseException:
            file.close()
            raise
        file.close()


def _try(file: IO) -> bool:
    """Lock a file, unless somebody holds it."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    try:
        flock(file, LOCK_EX | LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _same(file: IO, lock: Path) -> bool:
    """Return whether an open file still has its name: whoever held it before removes it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(lock, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _sign(file: IO[str]) -> None:
    with suppress(OSError):  # on a full disk nobody learns who holds it
        file.truncate(0)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        told = json.dumps({"process": os.getpid(), "machine": socket.gethostname(), "since": since})
        os.write(file.fileno(), told.encode())  # unbuffered, so that closing the file cannot fail


def _holder(file: IO[str]) -> str:
    """Return who holds a lock, in words."""
    try:
        told = parsed_json(file.read())
        return f"process {int(told['process'])} on {told['machine']} has been writing it since {told['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process is writing it"
