"""Connect a run over many files to a store: look clips up, and write new scores batch by batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media._container import FileStamp
from avreward.media._isolated.workers import active
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.scoring.store._files import death, remembered, unchanged
from avreward.scoring.store._rows import StoredScores, clip_key, encode, rater_row
from avreward.scoring.store._tables import FileRow, Rows, ScoreRow
from avreward.scoring.store.store import Store

ROWS_AT_ONCE = 64  # rows that are written together
SECONDS_AT_ONCE = 1.0  # after which fewer are written


class StoreHit(NamedTuple):
    """A clip's key and stored scores for each rater; `None` where there are none."""

    keys: Sequence[bytes | None]
    known: Sequence[StoredScores | None]


class StoreKeeper:
    """Look up clips before they are decoded, and keep their scores afterwards; threads may share it."""

    def __init__(self, store: Store | None, raters: Sequence[Rater], retry_missing: bool) -> None:
        self.store, self.raters, self.retry_missing = store, raters, retry_missing
        self.judges = [] if store is None else [rater_row(rater) for rater in raters]  # now: hashing weights takes long
        self.scores: list[ScoreRow] = []
        self.files: list[FileRow] = []
        self.dead: set[FileStamp] = set()
        self.written = time.monotonic()
        self.lock = threading.Lock()

    def open(self, path: str | PathLike[str]) -> Clip:
        """Open a file like `Clip.open`, faster if the store knows it."""
        return Clip.open(path) if self.store is None else self.store.open(path)

    def find(self, clip: Clip) -> StoreHit:
        """Return the stored scores of a clip; none if its file has changed, which decoding then reports."""
        nothing = [None] * len(self.raters)
        if self.store is None:
            return StoreHit(nothing, nothing)
        try:
            keys = [clip_key(rater, clip) for rater in self.raters]
            file = remembered(clip)
        except MediaError:
            return StoreHit(nothing, nothing)
        known = []
        for judge, rater, key in zip(self.judges, self.raters, keys, strict=True):
            row = self.store.find(judge, rater.versions, [key]).get(key)
            known.append(self.store.decoded(row, clip, rater, self.retry_missing))
        if file is not None and not self.store.remembers(file):  # a known run needs only to read the store
            self._add(files=[file])
        return StoreHit(keys, known)

    def keep(self, rater: int, clip: Clip, key: bytes | None, scores: Scores, error: str | None = None) -> None:
        """Keep one clip's scores by one rater (a single row), or the error that prevented them."""
        if self.store is None or key is None:
            return
        rows = encode(self.judges[rater], [key], [clip], scores, error)
        if rows[0].missing and not unchanged(clip):  # what is missing may be so because the file has changed
            return
        self._add(scores=rows)

    def note_deaths(self) -> None:
        """Keep which files ended the process that decoded them, so that the next run leaves them alone."""
        pool = active()
        if self.store is None or pool is None:
            return
        with self.lock:
            new = {stamp: error for stamp, error in pool.died.items() if stamp not in self.dead}
            self.dead |= new.keys()
        self._add(files=[death(stamp, error.problem) for stamp, error in new.items()])

    def flush(self) -> None:
        """Write the waiting rows. If that fails, they are dropped, so that a full disk raises one error."""
        with self.lock:
            self._write()

    def _add(self, scores: Sequence[ScoreRow] = (), files: Sequence[FileRow] = ()) -> None:
        with self.lock:
            self.scores += scores
            self.files += files
            due = time.monotonic() > self.written + SECONDS_AT_ONCE
            if due or len(self.scores) + len(self.files) >= ROWS_AT_ONCE:
                self._write()

    def _write(self) -> None:
        rows, self.scores, self.files = Rows(self.judges, self.scores, self.files), [], []
        if self.store is not None and (rows.scores or rows.files):
            self.store.write(rows)
            self.written = time.monotonic()
