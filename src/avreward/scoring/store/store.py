"""A store of scores on disk: scores are found by the content of a clip, not by its file's name."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.media._checks import check_path
from avreward.media._container import FileStamp
from avreward.raters._loop import check_clips
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.scoring.store._errors import DAMAGES, StoreError, Unreadable, damage
from avreward.scoring.store._files import check_survived, name_of, recalled
from avreward.scoring.store._row_search import RowSearch
from avreward.scoring.store._rows import UNDECODABLE, StoredScores, clip_key, encode, judged, rater_row
from avreward.scoring.store._shard import Shard, listed
from avreward.scoring.store._tables import FileRow, RaterRow, Rows, ScoreRow

Answer = TypeVar("Answer")

_inherited: list[object] = []  # connections of a parent process: closing them here could break its transactions


class Store:
    """Keep scores in a folder of SQLite files, keyed on the content of the clips and on the rater.

    The key of a row is the rater's fingerprint, the names of its dimensions, the keys of the tracks that it reads and
    the texts that its dimensions need. So the scores of a renamed file are found, and a changed setting of the rater,
    which changes its fingerprint, gets rows of its own. Missing scores are kept with their reasons.

    The versions of the libraries behind a score are kept too (`Rater.libraries`). A score by another version is used
    only if the two versions are known to give the same scores.

    Each process writes its own file, created at the first `put`, and reads the files of all others, on any machine:
    rows by another process are found as soon as they are written. A process that is killed loses only the batch it was
    writing. A damaged file is named in a warning and left out, and so
    is a damaged row: its clip is rated again. Several threads may use one store; a forked process
    continues with its own file.

    Args:
        path: the folder; created at the first write.

    Raises:
        StoreError: if `path` is a file, or the store is from a newer version.

    Example:
        >>> with Store("scores.store") as store:
        ...     store.put(rater, clips, rater(clips))
        ...     [row["sharpness"].item() for row in store.get(rater, clips)]
        [2.64..., 2.64..., 2.64...]
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        if not isinstance(path, str | PathLike):
            raise ArgumentError("path", "the folder of the store", path)
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path}: expected a folder, got a file; use another path for the store")
        self.damaged: dict[Path, str] = {}  # files that can't be read → why
        self.tell: Callable[[str], None] = warnings.warn  # shows a line to the user
        self._told: set[bytes | Path] = set()  # raters and files that the user was told about
        self._lock = threading.RLock()
        self._own: Shard | None = None
        self._disconnect()
        self._shards()  # raises now if the store is from a newer version

    def get(self, rater: Rater, clips: Sequence[Clip], retry_missing: bool = False) -> list[Scores | None]:
        """Return the stored scores of each clip by `rater` (one row, on the CPU), or `None`. Nothing is decoded.

        Args:
            rater: the rater whose scores are looked up.
            clips: files or tensors.
            retry_missing: return `None` for a row that lacks a score, so that the clip is rated again, unless the clip
                lacks what that score needs.

        Raises:
            MediaError: if a file has changed since it was opened.
        """
        keys = [clip_key(rater, clip) for clip in check_clips(clips)]
        rows = self.find(rater_row(rater), rater.versions, keys)
        known = [self.decoded(rows.get(key), clip, rater, retry_missing) for key, clip in zip(keys, clips, strict=True)]
        return [None if one is None else one.scores for one in known]

    def put(self, rater: Rater, clips: Sequence[Clip], scores: Scores) -> None:
        """Store the scores of `clips`: all of them or, if it fails, none.

        A row replaces an earlier one that lacks as many scores or more.

        Args:
            rater: the rater that gave the scores.
            clips: the clips that it rated.
            scores: its result for these clips.

        Raises:
            ArgumentError: if the scores have other rows or dimensions.
            StoreError: if the disk is full or can't be written.
        """
        dimensions = tuple(dimension.name for dimension in rater.dimensions)
        if len(check_clips(clips)) != len(scores) or scores.names != dimensions:
            names = ", ".join(dimensions)
            got = Described(f"{len(scores)} rows of {', '.join(scores.names)}")
            expected = f"{len(clips)} rows of {names} by {rater.name}"
            raise ArgumentError("scores", expected, got, "pass the result of the rater for these clips")
        judge, keys = rater_row(rater), [clip_key(rater, clip) for clip in clips]
        self.write(Rows([judge], encode(judge, keys, clips, scores)))

    def open(
        self, path: str | PathLike[str], prompt: str | None = None, texts: Mapping[str, str] | None = None
    ) -> Clip:
        """Open a clip like `Clip.open`; a file that the store knows (by path, size and time) is not read yet.

        Raises:
            MediaError: as for `Clip.open`; or if the file ended its decoder's process in an earlier run.
        """
        stamp = FileStamp.of(check_path(path))
        with self._lock:
            rows = list(self._ask(lambda shard: shard.file(name_of(stamp))))
            for row in rows:
                check_survived(row, stamp)
            for row in rows:
                clip = recalled(row, stamp, prompt, texts)
                if clip is not None:
                    return clip
        return Clip.open(path, prompt=prompt, texts=texts)

    def remembers(self, file: FileRow) -> bool:
        """Return whether a file of the store has this row."""
        with self._lock:
            return any(row == file for row in self._ask(lambda shard: shard.file(file.path)))

    def fingerprints(self, name: str) -> set[str]:
        """Return the fingerprints of the rater `name` in this store: several if its settings have changed."""
        with self._lock:
            return {row.fingerprint for rows in self._ask(Shard.raters) for row in rows if row.name == name}

    def __len__(self) -> int:
        """Return the number of scored clips, counted once for each rater."""
        with self._lock:
            if len(self._shards()) < 2:
                return sum(self._ask(Shard.count))
            return len(set[tuple[bytes, bytes]]().union(*self._ask(lambda shard: set(shard.keys()))))

    @property
    def files(self) -> int:
        """The number of files, without those that can't be read."""
        with self._lock:
            return len(self._shards())

    def compact(self) -> None:
        """Merge all readable files into one, which makes looking up faster.

        It is safe while other processes read or write the store: a process whose file is merged continues in a new one.

        Raises:
            StoreError: if the merged file can't be written.
        """
        with self._lock:
            for shard in [shard for shard in self._shards() if shard is not self._own]:
                try:
                    while not self._writer().merge(shard):
                        self._own = None  # another process has merged the file into its own
                    if shard.damaged:
                        self._tell_of_damage(shard.path)
                except Unreadable as error:
                    self._give_up(shard.path, error.args[0])
            self._shards()

    def close(self) -> None:
        """Close the files; the store can still be used."""
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
        """Return the row of each key with the fewest missing scores, by the same or equivalent library versions.

        `versions` are `Rater.versions`. If a key only has rows by other library versions, `tell` is called, once.
        """
        search = RowSearch(rater, versions, keys, self._answer)
        with self._lock:
            shards = self._shards()
            for shard in shards:
                search.look_in(shard)
            if rater.id not in self._told and (why := search.outdated()):
                self._told.add(rater.id)
                self.tell(f"{self.path}: scores of {rater.name} were made {why}; those clips are rated again")
            for shard in filter(search.damaged, shards):
                self._tell_of_damage(shard.path)
        return search.best

    def _tell_of_damage(self, path: Path) -> None:
        """Tell the user, once for each file, that rows were read that do not match their checksum."""
        if path not in self._told:
            self._told.add(path)
            self.tell(f"{path}: some of its scores are damaged; those clips are rated again")

    def decoded(self, row: ScoreRow | None, clip: Clip, rater: Rater, retry_missing: bool) -> StoredScores | None:
        """Return the scores of `clip` in `row`; `None` if it should be rated again: see `judged`."""
        try:
            return judged(row, clip, rater, retry_missing)
        except UNDECODABLE:  # only rows of old files have no checksum
            self._tell_of_damage(self.path)
            return None

    def write(self, rows: Rows) -> None:
        """Write all of `rows` or none to this process's file."""
        with self._lock:
            try:
                while not self._writer().write(rows):
                    self._own = None  # another process has merged the file into its own
            except StoreError as error:
                if self._own is None or not damage(error.__cause__):
                    raise
                self._give_up(self._own.path, error)
                self._own = None
                self._writer().write(rows)

    def _writer(self) -> Shard:
        self._check_process()
        if self._own is None:
            self._own = Shard.create(self.path)
            self._open[self._own.path] = self._own
        return self._own

    def _shards(self) -> list[Shard]:
        """Open new files, close merged ones, and return all files, this process's own first."""
        self._check_process()
        complete = False
        while not complete:
            complete = True
            paths = {path for path in listed(self.path) if path not in self.damaged}
            for path in self._open.keys() - paths:  # merged into another
                gone = self._open.pop(path)
                self._own = None if gone is self._own else self._own
                gone.close()
            for path in sorted(paths - self._open.keys()):
                try:
                    shard = Shard(path)
                except (*DAMAGES, OSError) as error:
                    if path.exists():
                        self._give_up(path, error)
                    else:  # merged since the folder was listed, perhaps into a file that is not in the list
                        complete = False
                    continue
                if shard.version:
                    self._open[path] = shard
                else:  # it is still empty
                    shard.close()
        return sorted(self._open.values(), key=lambda shard: shard is not self._own)

    def _ask(self, question: Callable[[Shard], Answer | None]) -> Iterator[Answer]:
        """Yield the answers of all readable files."""
        for shard in self._shards():
            answer = self._answer(shard, question)
            if answer is not None:
                yield answer

    def _answer(self, shard: Shard, question: Callable[[Shard], Answer | None]) -> Answer | None:
        try:
            return question(shard)
        except DAMAGES as error:
            if shard.there:
                self._give_up(shard.path, error)
            return None

    def _give_up(self, path: Path, error: Exception) -> None:
        self.damaged[path] = str(error)
        if shard := self._open.pop(path, None):
            shard.close()
        remedy = "they are left out; move the file away so that its clips are rated again"
        self.tell(f"{path}: these scores can't be read ({error}); {remedy}")

    def _check_process(self) -> None:
        if self._process != os.getpid():  # forked
            _inherited.append(self._open)
            self._disconnect()

    def _disconnect(self) -> None:
        self._process = os.getpid()
        self._open: dict[Path, Shard] = {}
        self._own = None
