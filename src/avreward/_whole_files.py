"""Files and folders that appear whole or not at all, also when two runs write to one place."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def private_name(path: Path) -> Path:
    """Return a hidden name beside `path` that no other run uses."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a private path beside `path`; what is written there becomes `path` at the end, and is removed on an error.

    Raises:
        OSError: if the file can't be written; it names `path`.
    """
    part = private_name(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:  # the error of a full disk names no file, another one the private one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a private folder beside `path` that becomes `path` at the end, and is removed on an error.

    Raises:
        OSError: if it can't be written, or `path` has contents by then, as another run may have written it.
    """
    part = private_name(path)
    try:
        part.mkdir(parents=True)
        yield part
        if path.is_dir():
            path.rmdir()
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
