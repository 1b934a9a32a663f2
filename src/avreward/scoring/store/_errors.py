"""Errors of a store's files, each with a remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avreward.errors import AvrewardError

# What a damaged file raises; UnicodeDecodeError: Python can't read SQLite's message about it.
DAMAGES = (sqlite3.Error, UnicodeDecodeError)
WAIT = 60.0  # seconds for which a process waits while another one commits or merges


class StoreError(AvrewardError):
    """Raised where a store can't be read or written."""


class Unreadable(Exception):
    """Raised where a file can't be read; the argument is SQLite's error."""


def damage(error: BaseException | None) -> bool:
    """Return whether SQLite says that the file itself is damaged."""
    return isinstance(error, UnicodeDecodeError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the disk into a `StoreError` with a remedy."""
    try:
        yield
    except DAMAGES as error:
        problem, remedy = _WORDS.get(
            getattr(error, "sqlite_errorcode", 0) & 0xFF, (f"{error}", "check the disk, or use another store")
        )
        raise StoreError(f"{path}: the scores can't be written ({problem}); {remedy}") from error
    except OSError as error:
        remedy = "use a store in another folder, or none"
        raise StoreError(f"{path}: the scores can't be written ({error.strerror or error}); {remedy}") from error


_WORDS = {  # SQLite's primary error codes → problem, remedy
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space, or use a store in another folder"),
    sqlite3.SQLITE_READONLY: ("it is read-only", "use a store in another folder, or none"),
    sqlite3.SQLITE_CANTOPEN: ("the file can't be opened", "use a store in another folder, or none"),
    sqlite3.SQLITE_BUSY: (f"another process locked it for {WAIT:.0f} s", "try again, or use another store"),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "move it away; its clips are then rated again"),
}
