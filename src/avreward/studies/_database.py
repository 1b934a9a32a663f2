"""The SQLite file of an experiment: its tables, and connections that write all of a change or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from avreward.errors import AvrewardError

WAIT = 10.0  # seconds for a lock that another process holds

_TABLES = """
CREATE TABLE IF NOT EXISTS experiment (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS videos (
    name TEXT PRIMARY KEY, picked INTEGER, category TEXT NOT NULL, reason TEXT,
    poster TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    kind TEXT NOT NULL DEFAULT 'sound', prompt TEXT NOT NULL DEFAULT '',
    grouping TEXT NOT NULL DEFAULT '', margin REAL);
CREATE TABLE IF NOT EXISTS candidates (
    video TEXT NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL, reward REAL, reason TEXT, file TEXT,
    PRIMARY KEY (video, number));
CREATE TABLE IF NOT EXISTS people (token TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    person TEXT NOT NULL, video TEXT NOT NULL, first INTEGER NOT NULL, second INTEGER NOT NULL,
    picked INTEGER NOT NULL, choice TEXT NOT NULL, seconds REAL, at REAL NOT NULL,
    changed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (person, video));
"""
_ADDED = {  # since 0.1
    "videos": {
        "kind": "TEXT NOT NULL DEFAULT 'sound'",
        "prompt": "TEXT NOT NULL DEFAULT ''",
        "grouping": "TEXT NOT NULL DEFAULT ''",
        "margin": "REAL",
    },
    "answers": {"changed": "INTEGER NOT NULL DEFAULT 0"},
}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection for this thread; its changes are on disk when the block ends, or not made at all."""
    try:
        with closing(sqlite3.connect(path, timeout=WAIT)) as database, database:
            yield database
    except sqlite3.Error as error:
        raise AvrewardError(f"{path}: can't be used ({error}); free some disk space, or name another folder") from error


def make_tables(database: sqlite3.Connection) -> None:
    """Make the tables that are not there, and add the columns that an older version did not have."""
    database.executescript(_TABLES)
    for table, columns in _ADDED.items():
        there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        for name, kind in columns.items():
            if name not in there:
                database.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
