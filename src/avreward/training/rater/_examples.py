"""What a rater is trained on: rows of scored tables and of pair tables, checked before any clip is decoded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from avreward._csv_cells import restored_frame
from avreward._display import counted, cut
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.raters.base import Rater
from avreward.scoring._manifest import base_of
from avreward.scoring._table_files import ENDINGS
from avreward.training.rater._judged_rows import ClipSource, JudgedRow

if TYPE_CHECKING:
    import pandas

    from avreward.scoring.table_reader import ScoredTable

Rows: TypeAlias = "str | PathLike[str] | ScoredTable | pandas.DataFrame | Iterable[Mapping[str, Any]]"
"""A table: its file, or rows in memory, in which a clip may also be a `Clip`."""

OUTCOMES: Mapping[str, int] = {
    "first": 1,
    "a": 1,
    "1": 1,
    "1.0": 1,
    "tie": 0,
    "same": 0,
    "0": 0,
    "0.0": 0,
    "second": -1,
    "b": -1,
    "-1": -1,
    "-1.0": -1,
}
WORDS = ("excellent", "good", "fair", "poor", "bad")


def names_of(rater: Rater, wanted: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Return dimension → column of the table, for what is trained.

    `wanted` has names of dimensions, or ``DIMENSION=COLUMN``. Without any, all dimensions count that the table has.

    Raises:
        ArgumentError: for an unknown dimension or column, or if none of the dimensions is in the table.
    """
    if wanted:
        named = [text.partition("=") for text in wanted]
        found = {rater.dimension(name).name: column or _column(rater, name, columns) for name, _, column in named}
        for name, column in found.items():
            if column not in columns:
                raise unknown_name(f"column of {name}", column, columns, f"write {name}=COLUMN")
        return found
    found = {d.name: _column(rater, d.name, columns) for d in rater.dimensions}
    found = {name: column for name, column in found.items() if column in columns}
    if not found:
        got = Described(cut(f"only {', '.join(map(str, columns))}"))
        known = ", ".join(d.name for d in rater.dimensions if not d.detail)
        raise ArgumentError("dimensions", f"a column for one of {known}", got, "name it by dimensions: [NAME=COLUMN]")
    return found


def _column(rater: Rater, name: str, columns: Sequence[str]) -> str:
    return f"{rater.name}.{name}" if name not in columns and f"{rater.name}.{name}" in columns else name


def rows_of(source: Rows) -> tuple[list[dict[str, Any]], Path | None, str]:
    """Return the rows, the folder that their relative paths start from, and a name for messages.

    Raises:
        ArgumentError: if it is not a table, or has no rows.
        AvrewardError: if the file can't be read.
    """
    import pandas

    from avreward.scoring.table_reader import ScoredTable

    if isinstance(source, str | PathLike):
        path = Path(source).expanduser()
        rows = _read(path).to_dict("records")
        paths = [str(row[name]) for row in rows for name in ("clip", "first") if row.get(name)]
        found, base, name = rows, base_of(path, paths), str(path)
    elif isinstance(source, ScoredTable):
        found, base, name = source.rows.to_pylist(), None, str(source.path)
    elif isinstance(source, pandas.DataFrame):
        found, base, name = source.to_dict("records"), None, "rows"
    else:
        found, base, name = [dict(row) for row in source], None, "rows"
    if not found:
        raise ArgumentError(name, "a row for each clip or pair", Described("none"), "give a table with rows")
    return [{str(key): value for key, value in row.items()} for row in found], base, name


def _read(path: Path) -> pandas.DataFrame:
    import pandas

    readers: dict[str, Any] = {
        ".csv": lambda file: restored_frame(pandas.read_csv(file)),
        ".jsonl": lambda file: pandas.read_json(file, lines=True),
        ".parquet": pandas.read_parquet,
    }
    if path.suffix.lower() not in ENDINGS:
        raise ArgumentError("rows", f"a table that ends in {' or '.join(ENDINGS)}", str(path))
    try:
        return readers[path.suffix.lower()](path)
    except (OSError, ValueError, ImportError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise AvrewardError(f"{path}: this table can't be read ({why}); check the file") from error


def scored_examples(source: Rows, columns: Mapping[str, str], grouped: bool = False) -> list[JudgedRow]:
    """Return an example a row of a scored table; with `grouped`, one for each group.

    Args:
        source: with the columns ``clip``, those of `columns`, and optionally ``group``, ``prompt``, ``texts.NAME``.
        columns: dimension → column: numbers, or level words, which count as 5 (excellent) to 1 (bad).
        grouped: whether all clips of a group are one example, as listwise losses need.

    Raises:
        ArgumentError: for a wrong value, files that do not exist, a clip that is there twice, ratings that are all
            equal, or groups of one clip.
    """
    rows, base, name = rows_of(source)
    found: list[tuple[ClipSource, Tensor, str]] = []
    seen: dict[Any, int] = {}
    for number, row in enumerate(rows, 1):
        values = [_rating(row.get(column), f"{name}: row {number}: {column}") for column in columns.values()]
        if not all(map(math.isnan, values)):
            own = _source(row, "clip", base, f"{name}: row {number}")
            first = seen.setdefault(own.identity, number)
            if first != number:
                got = Described(f"{own.name} in the rows {first} and {number}")
                raise ArgumentError(
                    f"{name}: clips", "each clip once with one prompt", got, "give one row with its MOS"
                )
            found.append((own, torch.tensor(values), _group(row)))
    if not found:
        raise ArgumentError(name, f"ratings under {', '.join(columns.values())}", Described("none"))
    table = torch.stack([ratings for _, ratings, _ in found])
    for dimension, column in zip(columns, table.T, strict=True):
        known = column[~column.isnan()]
        if len(known) and bool((known == known[0]).all()):
            got = Described(f"{float(known[0]):g} for all {len(known)} clips")
            raise ArgumentError(f"{name}: ratings of {dimension}", "different ratings", got, "nothing can be learned")
    _check_files([one for one, _, _ in found], name)
    none = torch.full((len(columns),), math.nan)
    if not grouped:
        return [
            JudgedRow((one,), ratings[None], none, torch.zeros(len(columns)), group) for one, ratings, group in found
        ]
    members: dict[str, list[tuple[ClipSource, Tensor]]] = {}
    for one, ratings, group in found:
        members.setdefault(group, []).append((one, ratings))
    lists = {group: own for group, own in members.items() if len(own) > 1}
    if not lists:
        raise ArgumentError(name, "groups of two clips or more", Described("one clip each"), "add a column group")
    return [
        JudgedRow(
            tuple(one for one, _ in own), torch.stack([r for _, r in own]), none, torch.zeros(len(columns)), group
        )
        for group, own in lists.items()
    ]


def pair_examples(source: Rows, columns: Mapping[str, str]) -> list[JudgedRow]:
    """Return an example a row of a pair table.

    Args:
        source: with the columns ``first``, ``second``, those of `columns` (first, second or tie; also A, B, same and
            1, −1, 0), and optionally ``margin``, ``group``, ``prompt``, ``texts.NAME``.
        columns: dimension → column.

    Raises:
        ArgumentError: for another outcome, a wrong margin, a clip against itself, or files that do not exist.
    """
    rows, base, name = rows_of(source)
    found = []
    for number, row in enumerate(rows, 1):
        where = f"{name}: row {number}"
        outcome = torch.tensor([_outcome(row.get(column), f"{where}: {column}") for column in columns.values()])
        if bool(outcome.isnan().all()):
            continue
        margin = _number(row.get("margin", 0.0), f"{where}: margin")
        if not (math.isnan(margin) or margin >= 0):
            raise ArgumentError(f"{where}: margin", "a number of 0 or more", margin)
        clips = tuple(_source(row, side, base, where) for side in ("first", "second"))
        if clips[0].identity == clips[1].identity:
            raise ArgumentError(where, "two clips", Described(f"{clips[0].name} twice"), "remove the row")
        ratings = torch.full((2, len(columns)), math.nan)
        margins = torch.full((len(columns),), 0.0 if math.isnan(margin) else margin)
        found.append(JudgedRow(clips, ratings, outcome, margins, _group(row)))
    if not found:
        raise ArgumentError(name, f"outcomes under {', '.join(columns.values())}", Described("none"))
    _check_files([clip for example in found for clip in example.clips], name)
    return found


def _source(row: Mapping[str, Any], column: str, base: Path | None, where: str) -> ClipSource:
    value = row.get(column)
    texts = {
        name.removeprefix("texts."): str(row[name]) for name in row if name.startswith("texts.") and _there(row[name])
    }
    prompt = str(row["prompt"]) if _there(row.get("prompt")) else None
    if isinstance(value, Clip):
        return ClipSource(value, prompt, texts)
    if not isinstance(value, str | PathLike) or not str(value):
        raise ArgumentError(f"{where}: {column}", "the path of a clip", value, f"give a column {column}")
    path = Path(value)
    return ClipSource(path if base is None or path.is_absolute() else base / path, prompt, texts)


def _check_files(sources: Sequence[ClipSource], name: str) -> None:
    absent = sorted({str(one.clip) for one in sources if isinstance(one.clip, Path) and not one.clip.is_file()})
    if absent:
        got = Described(f"{counted(len(absent), 'file')} that do not exist, such as {absent[0]}")
        raise ArgumentError(f"{name}: clips", "files", got, "correct the paths, or remove the rows")


def _there(value: Any) -> bool:
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def _group(row: Mapping[str, Any]) -> str:
    return next((str(row[name]) for name in ("group", "prompt") if _there(row.get(name))), "")


def _rating(value: Any, where: str) -> float:
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return 5.0 - WORDS.index(value.strip().lower())
    return _number(value, where)


def _number(value: Any, where: str) -> float:
    if not _there(value):
        return math.nan
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.inf
    if math.isinf(found):
        raise ArgumentError(where, "a finite number, or nothing", value)
    return found


def _outcome(value: Any, where: str) -> float:
    if not _there(value):
        return math.nan
    if str(value).strip().lower() not in OUTCOMES:
        raise ArgumentError(where, "first, second or tie", value)
    return float(OUTCOMES[str(value).strip().lower()])
