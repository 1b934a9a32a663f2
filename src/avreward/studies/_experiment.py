"""A folder in which people's answers are kept: its settings, the people in it, and names that can't be guessed."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError
from avreward.studies._database import opened

SECRET = "secret"  # noqa: S105 - the key of a row
CHANGES = "changes"  # to what is asked about
LONGEST = 80  # characters of a name


class Experiment:
    """Base of what is kept in one SQLite file in a folder, beside the media.

    A subclass names the file, makes its tables, and says which of them are emptied where another experiment begins.

    Args:
        folder: where the file and the media are.
        about: what the experiment depends on (*optional*). Where it is given, the folder is made if it isn't there; one
            that holds another experiment is an `AvrewardError`, unless nothing could be asked in that one: then it is
            replaced. Without it, a folder that holds none is one.
    """

    FILE: ClassVar[str]
    KIND: ClassVar[str] = "experiment"
    BEGUN: ClassVar[str]  # a query that finds a row where something can be asked or is answered
    CONTENT: ClassVar[tuple[str, ...]]  # tables of one that has not begun

    def __init__(self, folder: str | PathLike[str], about: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.path = self.folder / self.FILE
        self._writing = threading.Lock()  # one writer at a time waits for no lock of the file
        if about is None and not self.path.is_file():
            raise AvrewardError(f"{self.folder}: holds no {self.KIND}; prepare one there first")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = f"can't be made ({error.strerror or error}); name another folder for the {self.KIND}"
            raise AvrewardError(f"{self.folder}: {why}") from error
        with self._writing, self._open() as database:
            self._make_tables(database)
            if about is not None and database.execute(self.BEGUN).fetchone() is None:
                for table in ("experiment", "people", *self.CONTENT):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
            fresh = (SECRET, json.dumps(secrets.token_hex(16)))
            database.execute("INSERT OR IGNORE INTO experiment VALUES (?, ?)", fresh)
            known = {key: parsed_json(value) for key, value in database.execute("SELECT * FROM experiment")}
            self._secret = str(known.pop(SECRET))
            known.pop(CHANGES, None)
            if about is not None:
                self._belongs(known, about)
                rows = [(key, json.dumps(value)) for key, value in about.items()]
                database.executemany("INSERT OR REPLACE INTO experiment VALUES (?, ?)", rows)
        self.about: dict[str, Any] = known | dict(about or {})

    def _make_tables(self, database: sqlite3.Connection) -> None:
        raise NotImplementedError

    def _belongs(self, known: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        for key, value in known.items():
            if key in about and about[key] != value:
                article = "an" if self.KIND[0] in "aeiou" else "a"
                ours, theirs = _shown(about[key]), _shown(value)
                if ours == theirs:  # of the same names, with other texts
                    ours, theirs = f"{ours} as given now", "other texts for them"
                problem = f"expected {article} {self.KIND} with {key} {ours}, got one with {theirs}"
                raise AvrewardError(f"{self.folder}: {problem}; name another folder, or use its settings to continue")

    def person(self, name: str) -> str:
        """Return the token of a person, who is known by name; somebody new is added."""
        name = " ".join(unicodedata.normalize("NFC", name).split())  # one name, whatever keyboard it was typed on
        if not name or len(name) > LONGEST:
            raise ArgumentError("name", f"1 to {LONGEST} characters", name)
        token = self._hidden("person", name.casefold())
        with self._writing, self._open() as database:
            known = dict(database.execute("SELECT name, token FROM people"))
            there = next((known[other] for other in known if other.casefold() == name.casefold()), None)
            if there is None:
                database.execute("INSERT INTO people VALUES (?, ?, ?)", (token, name, time.time()))
        return there or token

    def name_of(self, token: str) -> str | None:
        """Return the name that belongs to a token; `None` for an unknown one."""
        with self._open() as database:
            found = database.execute("SELECT name FROM people WHERE token = ?", (token,)).fetchone()
        return found[0] if found else None

    def hidden_name(self, *parts: object) -> str:
        """Return a name for an address or a file that tells nothing of `parts`, the same each time."""
        return self._hidden("name", *parts)

    def _person(self, token: str) -> str:
        return (self.name_of(token) or "").casefold()

    def _changed(self, database: sqlite3.Connection) -> None:
        """Note that there is something else to ask about."""
        changed = "INSERT INTO experiment VALUES (?, '1') ON CONFLICT (key) DO UPDATE SET value = value + 1"
        database.execute(changed, (CHANGES,))

    def _changes(self) -> int:
        with self._open() as database:
            found = database.execute("SELECT value FROM experiment WHERE key = ?", (CHANGES,)).fetchone()
        return int(found[0]) if found else 0

    def _drawn(self, *parts: object) -> str:
        return _hash(self.about.get("seed"), *parts)

    def _hidden(self, *parts: object) -> str:
        return _hash(self._secret, *parts)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.path)


def _shown(setting: Any) -> str:
    """Return a setting in words: the names of what has names."""
    if isinstance(setting, list):
        return ", ".join(str(one["name"]) if isinstance(one, dict) and "name" in one else repr(one) for one in setting)
    return repr(setting)


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
