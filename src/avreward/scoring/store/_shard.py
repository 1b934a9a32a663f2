"""One file of a store: a SQLite database that one process writes and all processes may read."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avreward.scoring.store._checksums import APPLICATION, SINCE, check_header, checked, lenient, summed
from avreward.scoring.store._errors import DAMAGES, WAIT, StoreError, Unreadable, writing
from avreward.scoring.store._tables import FileRow, RaterRow, Rows, ScoreRow

VERSION = 3  # of the tables below, in each file's header
PATTERN = "scores-*.sqlite"
_ASKED_AT_ONCE = 500  # keys in one query, so that its text is prepared once

_TABLES = f"""
CREATE TABLE raters (
    id BLOB PRIMARY KEY, name TEXT, fingerprint TEXT, dimensions TEXT, environment TEXT, checksum BLOB
) WITHOUT ROWID;
CREATE TABLE scores (
    rater BLOB, clip BLOB, missing INTEGER, value BLOB, note TEXT, checksum BLOB, PRIMARY KEY (rater, clip)
) WITHOUT ROWID;
CREATE TABLE files (
    path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, code TEXT, about BLOB, checksum BLOB
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION + VERSION};
PRAGMA user_version = {VERSION};
"""
_PUT_RATER = "INSERT OR IGNORE INTO raters VALUES (?, ?, ?, ?, ?, ?)"
# Of two rows of one clip, keep the one with fewer missing scores; if equal, the later one.
_PUT_SCORE = """
INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
SET missing = excluded.missing, value = excluded.value, note = excluded.note, checksum = excluded.checksum
WHERE excluded.missing <= scores.missing
"""
_PUT_FILE = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"


class Shard:
    """A SQLite file with scores.

    It uses SQLite's rollback journal. A write-ahead log would be faster, but its index is memory that all processes
    map, so readers on another machine that shares the disk would miss rows or read torn ones. The journal needs only
    the file locks that NFS has (version 4, or 3 with its lock service), and each file has one writer, so waits are
    short. Each transaction is synced to the disk: a batch costs milliseconds, less than computing its scores.

    Rows that do not match their checksum are left out of every answer; `damaged` has the clips of those of scores.

    Raises:
        sqlite3.Error: if the file can't be opened or read.
        OSError: if another process merges and removes the file while it is opened.
        StoreError: if the file is from a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: set[bytes] = set()
        # "rw": not created if it does not exist; if it is write-protected, SQLite opens it for reading.
        uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"
        self._database = sqlite3.connect(
            uri, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            self.inode = path.stat().st_ino
            self._database.text_factory = lenient
            self._database.execute("PRAGMA trusted_schema = OFF")  # what a prepared file defines calls nothing
            self._database.execute("PRAGMA cache_size = -65536")  # kilobytes: keys are random, all pages are hot
            self.version = check_header(self._database)
        except BaseException:
            self._database.close()
            raise
        if self.version > VERSION:
            self._database.close()
            raise StoreError(
                f"{path}: expected tables of version {VERSION} or older, got version {self.version}; update avreward, "
                "or use another store"
            )

    @classmethod
    def create(cls, folder: Path) -> Shard:
        """Create a file in `folder` with a name that no other process uses; `StoreError` if that fails."""
        host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
        path = folder / f"scores-{host}-{os.getpid()}-{secrets.token_hex(4)}.sqlite"
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
            try:
                shard = cls(path)
                # The journal is emptied, not removed, after each batch: NFS would rename a file that is still open.
                shard._database.execute("PRAGMA journal_mode = TRUNCATE")
                shard._database.execute("PRAGMA synchronous = FULL")
                # The tables and the version are written in one transaction, so a file without a version is empty.
                shard._database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
                shard.version = VERSION
            except BaseException:
                path.unlink(missing_ok=True)
                path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
                raise
        return shard

    @property
    def there(self) -> bool:
        """Whether the file still exists: another process may have merged it into its own."""
        try:
            return self.path.stat().st_ino == self.inode
        except OSError:
            return False

    def write(self, rows: Rows) -> bool:
        """Write all of `rows` or none; return `False` if another process has merged and removed the file.

        Raises:
            StoreError: if the file can't be written; it names the file and the reason.
        """
        with self._transaction() as there:
            if there:
                self._insert(rows)
            return there

    def merge(self, source: Shard, batch: int = 5000) -> bool:
        """Copy all rows of another file and remove it; return `False` if this file was merged by another process.

        A file that is being written is skipped: waiting for it could deadlock, since its process may be waiting for
        this file.

        Raises:
            Unreadable: if the other file is damaged.
            StoreError: if this file can't be written.
        """
        with self._transaction() as there:
            if there and source.hold():
                try:
                    for rows in source.everything(batch):
                        self._insert(rows)
                    self._database.execute("COMMIT")
                    source.path.unlink()
                    source.path.with_name(f"{source.path.name}-journal").unlink(missing_ok=True)
                finally:
                    source.release()
            return there

    @contextmanager
    def _transaction(self) -> Iterator[bool]:
        """Run the body as one transaction; yield `False` if the file was removed."""
        with writing(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                # Checked under the lock, so that no other process can merge and remove the file meanwhile.
                yield self.there
                if self._database.in_transaction:
                    self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _insert(self, rows: Rows) -> None:
        self._database.executemany(_PUT_RATER, map(summed, rows.raters))
        self._database.executemany(_PUT_SCORE, map(summed, rows.scores))
        self._database.executemany(_PUT_FILE, map(summed, rows.files))

    def hold(self) -> bool:
        """Lock the file against all other processes; return `False` if it was removed or is being written."""
        self._database.execute("PRAGMA busy_timeout = 0")
        try:
            self._database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise Unreadable(error) from error
        except DAMAGES as error:
            raise Unreadable(error) from error
        finally:
            self._database.execute(f"PRAGMA busy_timeout = {WAIT * 1000:.0f}")
        if not self.there:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Release the lock of `hold`."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def everything(self, batch: int) -> Iterator[Rows]:
        """Yield all rows, up to `batch` at a time."""
        try:
            yield Rows(raters=self.raters())
            scores = self._database.execute("SELECT * FROM scores")
            while some := scores.fetchmany(batch):
                yield Rows(scores=self._intact(some))
            media = self._database.execute("SELECT * FROM files")
            while some := media.fetchmany(batch):
                kept = [checked(FileRow, row, self.version) for row in some]
                yield Rows(files=[row for row in kept if row is not None])
        except DAMAGES as error:  # of this file: errors of the consumer are not raised in here
            raise Unreadable(error) from error

    def scores(self, rater: bytes, clips: Sequence[bytes]) -> list[ScoreRow]:
        """Return the rows of `rater` for `clips`, in any order; clips without a row are left out."""
        found: list[ScoreRow] = []
        for start in range(0, len(clips), _ASKED_AT_ONCE):
            asked = clips[start : start + _ASKED_AT_ONCE]
            if len(asked) > 1:  # padded, so that only two different queries are prepared
                asked = (*asked, *[asked[0]] * (_ASKED_AT_ONCE - len(asked)))
            marks = ",".join("?" * len(asked))
            query = f"SELECT * FROM scores WHERE rater = ? AND clip IN ({marks})"  # noqa: S608  # only marks
            found += self._intact(self._database.execute(query, (rater, *asked)))
        return found

    def _intact(self, rows: Iterable[tuple[Any, ...]]) -> list[ScoreRow]:
        """Return the rows of scores that match their checksum, and note the clips of the others."""
        found = []
        for fields in rows:
            row = checked(ScoreRow, fields, self.version)
            if row is None:
                self.damaged.add(fields[1])
            else:
                found.append(row)
        return found

    def file(self, path: bytes) -> FileRow | None:
        """Return the row of the media file at `path`, if there is one."""
        row = self._database.execute("SELECT * FROM files WHERE path = ?", (path,)).fetchone()
        return None if row is None else checked(FileRow, row, self.version)

    def raters(self) -> list[RaterRow]:
        """Return the raters that have scores here."""
        kept = "environment, checksum" if self.version >= SINCE else "environment" if self.version > 1 else "''"
        query = f"SELECT id, name, fingerprint, dimensions, {kept} FROM raters"  # noqa: S608  # one of three constants
        found = [checked(RaterRow, row, self.version) for row in self._database.execute(query)]
        return [row for row in found if row is not None]

    def count(self) -> int:
        """Return the number of rows: one for each clip and rater."""
        count: int = self._database.execute("SELECT count(*) FROM scores").fetchone()[0]
        return count

    def keys(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (rater, clip) of each row."""
        yield from self._database.execute("SELECT rater, clip FROM scores")

    def close(self) -> None:
        """Close the connection, and remove the empty journal of a file that was written."""
        try:
            self._database.execute("PRAGMA journal_mode = DELETE")
        except DAMAGES:
            pass  # it is read-only or damaged, so this process wrote no journal
        finally:
            self._database.close()


def listed(folder: Path) -> list[Path]:
    """Return the files of the store in `folder`; `StoreError` if it can't be read."""
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if fnmatch(entry.name, PATTERN)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(
            f"{folder}: the store can't be read ({error.strerror}); check the path, or use another store"
        ) from error
