"""Checksums of a store's rows, so that damage on the disk is noticed: SQLite checks its pages' structure alone."""

from __future__ import annotations

import sqlite3
from typing import Any, TypeVar

import xxhash

from avreward.scoring.store._tables import FileRow, RaterRow, ScoreRow, rater_id

Row = TypeVar("Row", RaterRow, ScoreRow, FileRow)

SINCE = 3  # version of the tables whose rows have a checksum, in their last column
APPLICATION = 0x61767200  # "avr" and a byte for the version, beside the version itself in a file's header


_TYPES: dict[type, tuple[Any, ...]] = {
    RaterRow: (bytes, str, str, str, str),
    ScoreRow: (bytes, bytes, int, bytes, str | None),
    FileRow: (bytes, int, int, str, bytes),
}


def checksum(row: tuple[object, ...]) -> bytes:
    """Return 8 bytes (XXH3) over the fields of a row, with their types and lengths.

    >>> checksum((b"1",)) == checksum(("1",))
    False
    """
    digest = xxhash.xxh3_64()
    for field in row:
        data = field if isinstance(field, bytes) else str(field).encode("utf-8", "surrogateescape")
        digest.update(b"%s %d " % (type(field).__name__.encode(), len(data)))
        digest.update(data)
    return digest.digest()


def summed(row: Row) -> tuple[object, ...]:
    """Return a row as it is written: its fields and their checksum."""
    return (*row, checksum(row))


def checked(kind: type[Row], fields: tuple[object, ...], version: int) -> Row | None:
    """Return the row that was read from a file of `version`; `None` if it is damaged.

    Rows of older versions have no checksum: a change of type is noticed, and for a rater any change.
    """
    if version >= SINCE:
        return kind._make(fields[:-1]) if fields[-1] == checksum(fields[:-1]) else None
    row = kind._make(fields)
    if not all(isinstance(field, expected) for field, expected in zip(fields, _TYPES[kind], strict=True)):
        return None
    altered = isinstance(row, RaterRow) and row.environment and row.id != rater_id(*row[2:])
    return None if altered else row


def lenient(text: bytes) -> str:
    """Return text that may be damaged, so that its row fails the checksum instead of ending the query."""
    return text.decode("utf-8", "surrogateescape")


def check_header(database: sqlite3.Connection) -> int:
    """Return the version of a file's tables, 0 for an empty file.

    Raises:
        sqlite3.DatabaseError: if the two places that state it disagree.
    """
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    application: int = database.execute("PRAGMA application_id").fetchone()[0]
    if application != (APPLICATION + version if version >= SINCE else 0):
        raise sqlite3.DatabaseError("its header is damaged")
    return version
