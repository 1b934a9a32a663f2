"""Read a scored table: one by `TableWriter`, or any table of the same layout with other score columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from csv import reader
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avreward._csv_cells import GUARDED, restored
from avreward._display import SHOWN, Shown, ShownAsTable, counted
from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.scoring._column_kinds import kind_of
from avreward.scoring._shares import joined, shares_of
from avreward.scoring._table_files import ENDINGS, METADATA_KEY, read_metadata

if TYPE_CHECKING:
    import pyarrow

    from avreward.rewards._as_reward import RewardLike

TEXTS = ("clip", "clip_key", "group", "prompt", "fingerprint")
COVARIATES = ("seconds", "fps", "frames", "width", "height", "sample_rate", "loudness", "motion")
WHOLE = ("seed", "rank", "frames", "width", "height", "sample_rate")
NOT_SCORES = {*TEXTS, *COVARIATES, "reward", "sigma", "reasons", "seed", "rank", "metadata"}
LINES_AT_ONCE = 1 << 26  # bytes; a line must fit


@dataclass(frozen=True, eq=False, repr=False)
class ScoredTable(ShownAsTable):
    """A table with a row a clip; see `avreward.scoring.table_writer` for its columns.

    Attributes:
        path: the file that it was read from, for messages.
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
        """The names of the score columns: numbers that are not covariates."""
        from pyarrow import types

        fields = [field for field in self.rows.schema if field.name not in NOT_SCORES]
        return tuple(f.name for f in fields if types.is_floating(f.type) or types.is_integer(f.type))

    def has(self, column: str) -> bool:
        """Return whether there is such a column."""
        return column in self.rows.column_names

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column as numbers (rows,), NaN where a value is missing or not finite.

        Raises:
            ArgumentError: if the table lacks the column, or it does not hold numbers.
        """
        self._check(column)
        values = self.rows[column]
        try:
            found = values.cast("float64").to_numpy(zero_copy_only=False).astype(np.float64)
        except (ValueError, TypeError) as error:  # pyarrow's errors are both
            remedy = f"name one of {', '.join((*self.scores, 'reward'))}"
            raise ArgumentError(f"column of {self.path}", "a column of numbers", column, remedy) from error
        return np.where(np.isfinite(found), found, np.nan)

    def infinite(self, column: str) -> NDArray[np.bool_]:
        """Return (rows,) whether a column of numbers is infinite; false elsewhere, and for columns of other types."""
        values = self.column(column)
        if str(values.type) not in ("halffloat", "float", "double"):
            return np.zeros(len(self), dtype=bool)
        return np.isinf(values.cast("float64").to_numpy(zero_copy_only=False).astype(np.float64))

    def column(self, column: str) -> pyarrow.ChunkedArray:
        """Return a column as it is in the file; `ArgumentError` if there is none of this name."""
        self._check(column)
        return self.rows[column]

    def reward_column(self, asked: str | None = None) -> str:
        """Return the name of the column to choose by: `asked`, or ``reward``; `ArgumentError` if it has no value."""
        name = asked or "reward"
        if not self.has(name) or not np.isfinite(self.numbers(name)).any():
            others = ", ".join(self.scores) or "none"
            remedy = f"name a column to choose by ({others}), or score again with --reward"
            if not self.has(name):
                raise unknown_name(f"column of {self.path}", name, self.scores, remedy)
            finite = "finite " if self.infinite(name).any() else ""
            got = Described(f"no {finite}value in the column {name}")
            raise ArgumentError(f"column of {self.path}", "one with scores", got, remedy)
        return name

    def with_reward(self, reward: RewardLike) -> ScoredTable:
        """Return the table with another column ``reward``, computed from its scores; nothing is rated.

        Args:
            reward: an expression over the columns, the file or folder of a reward, or a reward.

        Raises:
            ArgumentError: if it needs scores that the table does not have.
            AvrewardError: if the expression is wrong.

        Example:
            >>> table = read_table("scores.parquet").with_reward("overall + 0.5*audio_quality")
            >>> table.metadata["reward"]
            'signals.overall + 0.5*signals.audio_quality'
        """
        from avreward.scoring._table_rewards import with_reward  # late, since it needs torch

        return with_reward(self, reward)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the table, in the format of the ending, and return the path.

        Raises:
            ArgumentError: if the ending is not ``.parquet``, ``.jsonl`` or ``.csv``.
            AvrewardError: if it can't be written.
        """
        from avreward.scoring.table_writer import save_table

        return save_table(self, Path(path))

    def _check(self, column: str) -> None:
        if not self.has(column):
            raise unknown_name(f"column of {self.path}", column, self.rows.column_names)

    def _shown(self) -> Shown:
        columns = [name for name in ("clip", "group", "reward", *self.scores) if self.has(name)]
        rows = ([row[name] for name in columns] for row in self.rows.slice(0, SHOWN).select(columns).to_pylist())
        return f"{self.path}: {counted(len(self), 'clip')}", columns, rows, len(self)


def read_table(path: str | PathLike[str]) -> ScoredTable:
    """Return the scored table in a ``.parquet``, ``.jsonl`` or ``.csv`` file.

    CSV and JSON lines have their metadata beside them, in ``NAME.meta.json``; a table without is read too. Without a
    file of this name, the tables that the processes of one run wrote (``NAME.rank0-of-2.parquet``, …; see `Share`) are
    read as one, in the order of the clips.

    Raises:
        ArgumentError: if the name has another ending.
        AvrewardError: if the file can't be read, has no rows or no column ``clip``, or a process's table is missing; it
            names the file.

    Example:
        >>> table = read_table("scores.parquet")
        >>> len(table), table.scores[:2], table.metadata["group_by"]
        (96, ('signals.overall', 'signals.audio_quality'), 'prompt')
    """
    import pyarrow

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ArgumentError("path", f"a table that ends in {' or '.join(ENDINGS)}", Described(str(path)))
    read = _READERS[path.suffix.lower()]
    shares = shares_of(path)
    try:
        rows, metadata = joined(path, shares, read) if shares else read(path)
    except (OSError, ValueError, AttributeError, RecursionError, pyarrow.ArrowException) as error:
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

    with path.open("rb"):  # a plain error if the file does not exist
        rows = parquet.read_table(path)
    return rows, parsed_json((rows.schema.metadata or {}).get(METADATA_KEY, b"{}"))


def _lines(path: Path) -> tuple[pyarrow.Table, Mapping[str, Any]]:
    import pyarrow
    from pyarrow import json as lines

    first = _checked_lines(path)
    metadata = read_metadata(path) or first.get("metadata") or {}  # tables of version 0.1 have them in each line
    rows = lines.read_json(path, read_options=lines.ReadOptions(block_size=LINES_AT_ONCE))
    if "metadata" in rows.column_names:
        rows = rows.drop_columns(["metadata"])
    for i, field in enumerate(rows.schema):  # all null, or integers only: the reader can't infer the type
        kind = field.type
        if pyarrow.types.is_null(kind):
            kind = pyarrow.string() if field.name in TEXTS else pyarrow.float64()
        elif field.name not in NOT_SCORES and pyarrow.types.is_integer(kind) and "." in field.name:
            kind = pyarrow.float64()
        rows = rows.set_column(i, pyarrow.field(field.name, kind), rows[field.name].cast(kind))
    return rows, metadata


def _checked_lines(path: Path) -> Mapping[str, Any]:
    """Return the first row of JSON lines; raise `ValueError` unless all are objects: others would crash pyarrow."""
    first: Mapping[str, Any] | None = None
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = parsed_json(line) if line.strip() else {}
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: expected an object, got {line.strip():.40}")
            first = row if first is None else first
    return first or {}


def _separated(path: Path) -> tuple[pyarrow.Table, Mapping[str, Any]]:
    import pyarrow
    from pyarrow import compute, csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        head = next(reader(file), [])
    rows = csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=LINES_AT_ONCE),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(head, pyarrow.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    rows = rows.rename_columns([str(restored(name)) for name in rows.column_names])
    for i, name in enumerate(rows.column_names):
        plain = compute.replace_substring_regex(rows[name], GUARDED, r"\1")  # as `restored`
        rows = rows.set_column(i, name, plain)
        if name == "reasons":
            rows = rows.set_column(i, name, _reasons(rows[name].to_pylist()))
        elif name not in TEXTS:
            rows = rows.set_column(i, name, _numbers(rows[name], name))
    return rows, read_metadata(path)


def _numbers(texts: pyarrow.ChunkedArray, name: str) -> pyarrow.ChunkedArray:
    """Return a column of texts as numbers, if all of them are; names that would be written otherwise stay texts."""
    import pyarrow
    from pyarrow import compute

    if "." in name or name in NOT_SCORES:  # of a rater, or a column of every table
        kind = "int64" if name in WHOLE else "double"
    else:
        kind = kind_of(text for text in texts.unique().to_pylist() if text is not None)
    try:
        if kind == "int64":
            with suppress(pyarrow.ArrowInvalid):
                return compute.cast(texts, pyarrow.int64())
        numbers = texts if kind == "string" else compute.cast(texts, pyarrow.float64())
        return compute.cast(numbers, pyarrow.int64()) if kind == "int64" else numbers  # 7.0 stands for 7
    except pyarrow.ArrowInvalid:
        return texts


def _reasons(texts: Sequence[str | None]) -> pyarrow.Array:
    """Return the JSON objects in a column of CSV as lists of dimension and reason, as Parquet has them."""
    import pyarrow

    pair = pyarrow.struct([("dimension", pyarrow.string()), ("reason", pyarrow.string())])
    found = [[{"dimension": d, "reason": str(why)} for d, why in parsed_json(text or "{}").items()] for text in texts]
    return pyarrow.array(found, pyarrow.list_(pair))


_READERS = {".parquet": _parquet, ".jsonl": _lines, ".csv": _separated}
