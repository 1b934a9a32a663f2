"""A store of scores on disk: what a rater said of a clip is found again by what the clip holds, not by its name."""

from __future__ import annotations

import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from avreward.clip import Clip
from avreward.media._checks import check_path
from avreward.media._container import FileStamp
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.scoring.store._equivalence import difference
from avreward.scoring.store._files import name_of, recalled
from avreward.scoring.store._rows import clip_key, encode, judged, rater_row
from avreward.scoring.store._shard import PATTERN, Shard, StoreError, Unreadable
from avreward.scoring.store._tables import RaterRow, Rows, ScoreRow

Answer = TypeVar("Answer")

_inherited: list[object] = []  # connections of a parent process: closing them here could undo what it is writing


class Store:
    """Scores in a folder of SQLite files, keyed on what the clips hold, the texts that matter and the rater.

    The key of a row is the rater's fingerprint, the names of its dimensions, the keys of the tracks that it looks at
    and the texts that its dimensions need. So a renamed file is found again, and a changed setting of the rater, which
    changes its fingerprint, is not mixed up with what was said before. Missing scores are kept with their reasons.

    The versions of the libraries that a score was made with are kept too (`Rater.libraries`). A score by another
    version counts only where the two are known to give the same scores; see `avreward.scoring.store._equivalence`.

    Each process writes a file of its own, made at the first `put`, and reads those of all others, on whatever machine
    they run: rows that another process writes are found as soon as they are written. A process that is killed loses
    the batch it was writing and nothing else. A file that is damaged is named in a warning and left out.

    Several threads may use one store. In a forked process it goes on with a file of its own.

    Args:
        path: the folder; made when something is written.

    Raises `StoreError` if `path` is a file, or the store is from a newer version.

    >>> with Store("scores.store") as store:
    ...     store.put(rater, clips, rater(clips))
    ...     [row["sharpness"].item() for row in store.get(rater, clips)]
    [3.36..., 3.36..., 3.36...]
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path}: this is a file, and a store is a folder; name another")
        self.damaged: dict[Path, str] = {}  # files that can't be read, and why
        self.tell: Callable[[str], None] = warnings.warn  # what becomes of a line that the user should see
        self._told: set[bytes] = set()  # raters whose scores of other runs don't count
        self._lock = threading.RLock()
        self._own: Shard | None = None
        self._disconnect()
        self._shards()  # so that a newer version is an error now

    def get(self, rater: Rater, clips: Sequence[Clip], retry_missing: bool = False) -> list[Scores | None]:
        """For each clip its scores by `rater` as `put` got them (one row, on the CPU), or `None`.

        With `retry_missing` a row that lacks a score counts as `None`, so that it is asked for again, unless the clip
        itself lacks what that score needs. Nothing is decoded. Raises `MediaError` where a file has changed since it
        was opened.
        """
        keys = [clip_key(rater, clip) for clip in clips]
        rows = self.find(rater_row(rater), rater.versions, keys)
        known = [judged(rows.get(key), clip, rater, retry_missing) for key, clip in zip(keys, clips, strict=True)]
        return [None if one is None else one.scores for one in known]

    def put(self, rater: Rater, clips: Sequence[Clip], scores: Scores) -> None:
        """Keeps the scores of `clips`, all of them or, if it fails, none.

        A row takes the place of one that lacks as many scores or more. Raises `StoreError` where the disk is full or
        can't be written.
        """
        if len(clips) != len(scores) or scores.names != tuple(dimension.name for dimension in rater.dimensions):
            raise ValueError(
                f"scores: {len(scores)} rows of {', '.join(scores.names)} for {len(clips)} clips judged by "
                f"{rater.name}; pass what the rater returned for these clips"
            )
        judge, keys = rater_row(rater), [clip_key(rater, clip) for clip in clips]
        self.write(Rows([judge], encode(judge, keys, clips, scores)))

    def open(
        self, path: str | PathLike[str], prompt: str | None = None, texts: Mapping[str, str] | None = None
    ) -> Clip:
        """`Clip.open(path)`, but a file that the store knows (by path, size and time) is not read before it is used."""
        stamp = FileStamp.of(check_path(path))
        name = name_of(stamp)
        with self._lock:
            for row in self._ask(lambda shard: shard.file(name)):
                clip = recalled(row, stamp, prompt, texts)
                if clip is not None:
                    return clip
        return Clip.open(path, prompt=prompt, texts=texts)

    def fingerprints(self, name: str) -> set[str]:
        """Those of the raters called `name` whose scores are here: several where its settings changed."""
        with self._lock:
            return {row.fingerprint for rows in self._ask(Shard.raters) for row in rows if row.name == name}

    def __len__(self) -> int:
        """How many clips' scores there are, counted once for each rater."""
        with self._lock:
            if len(self._shards()) < 2:
                return sum(self._ask(Shard.count))
            return len(set[tuple[bytes, bytes]]().union(*self._ask(lambda shard: set(shard.keys()))))

    @property
    def files(self) -> int:
        """How many files it consists of, without those that can't be read."""
        with self._lock:
            return len(self._shards())

    def compact(self) -> None:
        """Merges all files that can be read into one; a look-up is quicker the fewer there are.

        Safe beside processes that read or write the store: one whose file is merged goes on in a new one.
        """
        with self._lock:
            for shard in [shard for shard in self._shards() if shard is not self._own]:
                try:
                    while not self._writer().merge(shard):
                        self._own = None  # another process has merged the file into its own
                except Unreadable as error:
                    self._give_up(shard.path, error.args[0])
            self._shards()

    def close(self) -> None:
        """Closes the files; the store may be used again."""
        with self._lock:
            self._check_process()
            for shard in self._open.values():
                shard.close()
            self._disconnect()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, rater: RaterRow, versions: Mapping[str, int], keys: Sequence[bytes]) -> dict[bytes, ScoreRow]:
        """The fullest row of each of `keys` that there is, made by the same libraries or by equivalent ones.

        `versions` are `Rater.versions`. Where a key has rows by other libraries alone, `tell` is called, once.
        """
        best: dict[bytes, ScoreRow] = {}
        outdated: list[tuple[Shard, bytes, str]] = []
        with self._lock:
            for shard in self._shards():
                self._fill(best, shard, rater.id, keys)
                for other in self._on_other_libraries(shard, rater) if _lacking(best, keys) else ():
                    why = difference(other.environment, rater.environment, versions)
                    if why is None:
                        self._fill(best, shard, other.id, keys)
                    else:
                        outdated.append((shard, other.id, why))
            if rater.id not in self._told:
                self._tell_of(outdated, rater, [key for key in keys if key not in best])
        return best

    def _fill(self, best: dict[bytes, ScoreRow], shard: Shard, rater: bytes, keys: Sequence[bytes]) -> None:
        """Take the rows of `shard` that are fuller than those in `best`."""
        if lacking := _lacking(best, keys):
            for row in self._answer(shard, partial(Shard.scores, rater=rater, clips=lacking)) or ():
                if row.clip not in best or row.missing < best[row.clip].missing:
                    best[row.clip] = row

    def _on_other_libraries(self, shard: Shard, rater: RaterRow) -> list[RaterRow]:
        """The same rater as it judged in other runs."""
        same = (rater.fingerprint, rater.dimensions)
        rows = self._answer(shard, Shard.raters) or ()
        return [row for row in rows if (row.fingerprint, row.dimensions) == same and row.id != rater.id]

    def _tell_of(self, outdated: Sequence[tuple[Shard, bytes, str]], rater: RaterRow, keys: Sequence[bytes]) -> None:
        """Say why known scores of `keys` don't count."""
        for shard, other, why in outdated if keys else ():
            if self._answer(shard, partial(Shard.scores, rater=other, clips=keys)):
                self._told.add(rater.id)
                self.tell(f"{self.path}: scores of {rater.name} were made {why}; those clips are rated again")
                return

    def write(self, rows: Rows) -> None:
        """Writes all of `rows` or none, in this process's file."""
        with self._lock:
            while not self._writer().write(rows):
                self._own = None  # another process has merged the file into its own

    def _writer(self) -> Shard:
        self._check_process()
        if self._own is None:
            self._own = Shard.create(self.path)
            self._open[self._own.path] = self._own
        return self._own

    def _shards(self) -> list[Shard]:
        """The files that there are at this moment, this process's own first, since it may be asked for anew."""
        self._check_process()
        complete = False
        while not complete:
            complete = True
            paths = {path for path in _listed(self.path) if path not in self.damaged}
            for path in self._open.keys() - paths:  # merged into another
                gone = self._open.pop(path)
                self._own = None if gone is self._own else self._own
                gone.close()
            for path in sorted(paths - self._open.keys()):
                try:
                    shard = Shard(path)
                except (sqlite3.Error, OSError) as error:
                    if path.exists():
                        self._give_up(path, error)
                    else:  # merged since the folder was listed, perhaps into a file that is not in the list
                        complete = False
                    continue
                if shard.version:
                    self._open[path] = shard
                else:  # nothing is in it yet
                    shard.close()
        return sorted(self._open.values(), key=lambda shard: shard is not self._own)

    def _ask(self, question: Callable[[Shard], Answer | None]) -> Iterator[Answer]:
        """The answers of all files that can be read."""
        for shard in self._shards():
            answer = self._answer(shard, question)
            if answer is not None:
                yield answer

    def _answer(self, shard: Shard, question: Callable[[Shard], Answer | None]) -> Answer | None:
        try:
            return question(shard)
        except sqlite3.Error as error:
            if shard.there:
                self._give_up(shard.path, error)
            return None

    def _give_up(self, path: Path, error: Exception) -> None:
        self.damaged[path] = str(error)
        if shard := self._open.pop(path, None):
            shard.close()
        remedy = "its scores are left out; move it away to have them made again"
        self.tell(f"{path}: these scores can't be read ({error}); {remedy}")

    def _check_process(self) -> None:
        if self._process != os.getpid():  # forked
            _inherited.append(self._open)
            self._disconnect()

    def _disconnect(self) -> None:
        self._process = os.getpid()
        self._open: dict[Path, Shard] = {}
        self._own = None


def _lacking(best: Mapping[bytes, ScoreRow], keys: Sequence[bytes]) -> list[bytes]:
    """Those of `keys` for which a row, or a fuller one, is wanted."""
    return [key for key in keys if key not in best or best[key].missing]


def _listed(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if fnmatch(entry.name, PATTERN)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(
            f"{folder}: the store can't be read ({error.strerror}); check the path, or name another"
        ) from error
