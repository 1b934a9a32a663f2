"""A scored table, read back: what `TableWriter` wrote, or any table of the same shape with columns of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avreward._display import SHOWN, Shown, ShownAsTable, counted
from avreward.errors import AvrewardError
from avreward.scoring.table_writer import ENDINGS, METADATA_KEY

if TYPE_CHECKING:
    import pyarrow

TEXTS = ("clip", "clip_key", "group", "prompt", "fingerprint")
COVARIATES = ("seconds", "fps", "width", "height", "sample_rate", "loudness", "motion")
NOT_SCORES = {*TEXTS, *COVARIATES, "reward", "sigma", "reasons", "seed", "metadata"}
LINES_AT_ONCE = 1 << 26  # bytes; a line must fit


@dataclass(frozen=True, eq=False, repr=False)
class ScoredTable(ShownAsTable):
    """A table with a row a clip; see `avreward.scoring.table_writer` for its columns.

    Attributes:
        path: where it came from, for messages.
        rows: the columns.
        metadata: how groups were formed (``group_by``), the reward, the raters.
    """

    path: Path
    rows: pyarrow.Table
    metadata: Mapping[str, Any]

    def __len__(self) -> int:
        return self.rows.num_rows

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the columns with scores: numbers that are no covariates."""
        from pyarrow import types

        fields = [field for field in self.rows.schema if field.name not in NOT_SCORES]
        return tuple(f.name for f in fields if types.is_floating(f.type) or types.is_integer(f.type))

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self.rows.column_names

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(rows,) of a column; NaN where there is none or it isn't finite. `AvrewardError` for another column."""
        self._check(column)
        values = self.rows[column]
        try:
            found = values.cast("float64").to_numpy(zero_copy_only=False).astype(np.float64)
        except (ValueError, TypeError) as error:  # what pyarrow raises is both
            numeric = ", ".join((*self.scores, "reward"))
            raise AvrewardError(f"{self.path}: the column {column} holds no numbers; name one of {numeric}") from error
        return np.where(np.isfinite(found), found, np.nan)

    def infinite(self, column: str) -> NDArray[np.bool_]:
        """(rows,) where a column of numbers holds one that is infinite; false elsewhere, and in other columns."""
        values = self.column(column)
        if str(values.type) not in ("halffloat", "float", "double"):
            return np.zeros(len(self), dtype=bool)
        return np.isinf(values.cast("float64").to_numpy(zero_copy_only=False).astype(np.float64))

    def column(self, column: str) -> pyarrow.ChunkedArray:
        """A column as it is. `AvrewardError` where there is none of this name."""
        self._check(column)
        return self.rows[column]

    def reward_column(self, asked: str | None = None) -> str:
        """The column to choose by: `asked`, or ``reward``; `AvrewardError` where it has no value at all."""
        name = asked or "reward"
        if not self.has(name) or not np.isfinite(self.numbers(name)).any():
            others = ", ".join(self.scores) or "none"
            what = "no value in the column" if self.has(name) else "no column"
            if self.has(name) and self.infinite(name).any():
                what = "no finite value in the column"
            listed = f"there are {others}{_near(name, self.scores)}"
            remedy = f"name a column to choose by ({listed}), or score again with --reward"
            raise AvrewardError(f"{self.path}: {what} {name}; {remedy}")
        return name

    def _check(self, column: str) -> None:
        if not self.has(column):
            names = self.rows.column_names
            raise AvrewardError(f"{self.path}: no column {column}; there are {', '.join(names)}{_near(column, names)}")

    def _shown(self) -> Shown:
        columns = [name for name in ("clip", "group", "reward", *self.scores) if self.has(name)]
        rows = ([row[name] for name in columns] for row in self.rows.slice(0, SHOWN).select(columns).to_pylist())
        return f"{self.path}: {counted(len(self), 'clip')}", columns, rows, len(self)


def _near(name: str, known: Sequence[str]) -> str:
    """The closest known names as a question, where there are any."""
    found = get_close_matches(name, known, 2)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def read_table(path: str | PathLike[str]) -> ScoredTable:
    """The table in a ``.parquet`` or ``.jsonl`` file.

    Raises `AvrewardError` that names the file, where it can't be read, has no rows or no column ``clip``.

    >>> table = read_table("scores.parquet")
    >>> len(table), table.scores[:2], table.metadata["group_by"]
    (96, ('signals.overall', 'signals.audio_quality'), 'prompt')
    """
    import pyarrow

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise AvrewardError(f"{path}: unknown kind of table; pass a file that ends in {' or '.join(ENDINGS)}")
    try:
        rows, metadata = _parquet(path) if path.suffix.lower() == ".parquet" else _lines(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise AvrewardError(
            f"{path}: this table can't be read ({why}); write it with `avreward score --out`"
        ) from error
    if "clip" not in rows.column_names:
        raise AvrewardError(f"{path}: no column clip; a scored table has a row a clip, with its path under clip")
    if not rows.num_rows:
        raise AvrewardError(f"{path}: the table has no rows, so there are no candidates; score some clips first")
    return ScoredTable(path, rows, metadata)


def _parquet(path: Path) -> tuple[pyarrow.Table, Mapping[str, Any]]:
    from pyarrow import parquet

    with path.open("rb"):  # a plain error where it isn't there
        rows = parquet.read_table(path)
    return rows, json.loads((rows.schema.metadata or {}).get(METADATA_KEY, b"{}"))


def _lines(path: Path) -> tuple[pyarrow.Table, Mapping[str, Any]]:
    import pyarrow
    from pyarrow import json as lines

    with path.open(encoding="utf-8") as file:
        metadata = json.loads(file.readline() or "{}").get("metadata") or {}
    rows = lines.read_json(path, read_options=lines.ReadOptions(block_size=LINES_AT_ONCE))
    if "metadata" in rows.column_names:
        rows = rows.drop_columns(["metadata"])
    for i, field in enumerate(rows.schema):  # nothing but nulls, or whole numbers only: the reader can't know better
        kind = field.type
        if pyarrow.types.is_null(kind):
            kind = pyarrow.string() if field.name in TEXTS else pyarrow.float64()
        elif field.name not in NOT_SCORES and pyarrow.types.is_integer(kind) and "." in field.name:
            kind = pyarrow.float64()
        rows = rows.set_column(i, pyarrow.field(field.name, kind), rows[field.name].cast(kind))
    return rows, metadata
