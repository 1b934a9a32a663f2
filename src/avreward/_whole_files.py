"""Files and folders that appear whole or not at all, also when two runs write to one place."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from avreward._locks import claimed, is_lock, remove_if_free

_LONGEST = 40  # characters of a name that its private name shows: a name has at most 255 bytes
_PRIVATE = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part")


def private_name(path: Path) -> Path:
    """Return a hidden name beside `path` that no other run uses, and remove what killed runs left in that folder."""
    _sweep(path.parent)
    return path.with_name(f".{path.name[:_LONGEST]}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part")


def publish(part: Path, path: Path) -> Path:
    """Rename a file that is written in full to `path`, after the disk has it, and return `path`."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return part.replace(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a private path beside `path`; what is written there becomes `path` at the end, and is removed on an error.

    Raises:
        OSError: if the file can't be written; it names `path`.
    """
    part = private_name(path)
    try:
        yield part
        publish(part, path)
    except OSError as error:  # the error of a full disk names no file, another one the private one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """Yield a new private folder beside `path`; it is removed at the end with all that is still in it."""
    part = private_name(path)
    try:
        part.mkdir(parents=True)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a private folder beside `path` that becomes `path` at the end, and is removed on an error.

    Meanwhile no other run writes `path`.

    Raises:
        OutputInUse: if another run does.
        OSError: if it can't be written, or `path` has contents by then, as another run may have written it.
    """
    with claimed(path), private_folder(path) as part:
        yield part
        if path.is_dir():
            path.rmdir()
        part.replace(path)


@lru_cache(maxsize=1024)
def _sweep(folder: Path) -> None:
    """Remove the private files of runs that were killed on this machine; once a folder, since folders may be large."""
    if sys.platform == "win32":  # there is no harmless way to ask whether a process runs
        return
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if is_lock(entry.name):
                remove_if_free(Path(entry.path))
            match = _PRIVATE.fullmatch(entry.name)
            if match is None or match[1] != _machine() or _runs(int(match[2])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
