"""Find the best stored row of each key among the files of a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from avreward.scoring.store._equivalence import difference
from avreward.scoring.store._shard import Shard
from avreward.scoring.store._tables import RaterRow, ScoreRow

Ask = Callable[[Shard, Callable[[Shard], Any]], Any]  # returns None where the file can't be read


class RowSearch:
    """The row of each key with the fewest missing scores, by the same or equivalent library versions."""

    def __init__(self, rater: RaterRow, versions: Mapping[str, int], keys: Sequence[bytes], ask: Ask) -> None:
        self.best: dict[bytes, ScoreRow] = {}
        self._rater, self._versions, self._keys, self._ask = rater, versions, keys, ask
        self._outdated: list[tuple[Shard, bytes, str]] = []

    def look_in(self, shard: Shard) -> None:
        """Replace rows in `best` by those of `shard` with fewer missing scores."""
        self._fill(shard, self._rater.id)
        for other in self._on_other_libraries(shard) if self._lacking() else ():
            why = difference(other.environment, self._rater.environment, self._versions)
            if why is None:
                self._fill(shard, other.id)
            else:
                self._outdated.append((shard, other.id, why))

    def outdated(self) -> str | None:
        """Return why known scores of keys without a row are not used."""
        without = [key for key in self._keys if key not in self.best]
        for shard, other, why in self._outdated if without else ():
            if self._ask(shard, partial(Shard.scores, rater=other, clips=without)):
                return why
        return None

    def damaged(self, shard: Shard) -> bool:
        """Return whether a key has no row because that in `shard` is damaged."""
        return bool(shard.damaged) and any(key in shard.damaged for key in self._keys if key not in self.best)

    def _fill(self, shard: Shard, rater: bytes) -> None:
        if lacking := self._lacking():
            for row in self._ask(shard, partial(Shard.scores, rater=rater, clips=lacking)) or ():
                if row.clip not in self.best or row.missing < self.best[row.clip].missing:
                    self.best[row.clip] = row

    def _lacking(self) -> list[bytes]:
        """Return the keys without a row, or with a row that lacks scores."""
        return [key for key in self._keys if key not in self.best or self.best[key].missing]

    def _on_other_libraries(self, shard: Shard) -> list[RaterRow]:
        """Return the rows of the same rater with other library versions."""
        same = (self._rater.fingerprint, self._rater.dimensions)
        rows = self._ask(shard, Shard.raters) or ()
        return [row for row in rows if (row.fingerprint, row.dimensions) == same and row.id != self._rater.id]
