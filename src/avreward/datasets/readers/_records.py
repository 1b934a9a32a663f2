"""Records of label files: CSV, TSV, JSON lines, JSON, Parquet, and lines such as ``video|prompt|mos``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError, Described

Record = dict[str, Any]
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


def records_of(path: Path, fields: Sequence[str] = ()) -> list[Record]:
    """Return the records of a label file, one a row.

    Args:
        path: CSV, TSV, JSON lines, JSON (a list of objects, or an object of objects or numbers by name) or Parquet;
            with `fields`, also a text file with a line a row.
        fields: the names of the parts of a line, which ``|`` separates (*optional*).

    Raises:
        AvrewardError: if it can't be read, has another ending, no rows, or a line with other parts.
    """
    kind = path.suffix.lower()
    if kind not in TABLES and not (fields and kind == ".txt"):
        remedy = "save it as one of them"
        raise ArgumentError(
            f"{path}", f"a file that ends in {', '.join(TABLES)}", Described(kind or "no ending"), remedy
        )
    try:
        if kind == ".txt":
            rows = list(_lines(path, fields))
        elif kind in (".jsonl", ".json"):
            rows = _objects(path)
        else:
            rows = _columns(path)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, AvrewardError):
            raise
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise AvrewardError(f"{path}: these labels can't be read ({why}); check the file") from error
    if not rows:
        raise AvrewardError(f"{path}: expected a row a clip or pair, got none; check the file")
    return rows


def _columns(path: Path) -> list[Record]:
    from avreward.scoring._manifest import columns_of

    columns = columns_of(path)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _objects(path: Path) -> list[Record]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        content = parsed_json(text)
    except ValueError:  # a value a line
        content = [parsed_json(line) for line in text.splitlines() if line.strip()]
    if isinstance(content, Mapping) and content and all(isinstance(v, Mapping | int | float) for v in content.values()):
        content = [{name: value} for name, value in content.items()]
    rows = content if isinstance(content, list) else [content]
    return [_flat(path, number, row) for number, row in enumerate(rows, 1)]


def _flat(path: Path, number: int, row: Any) -> Record:
    """Return an object; one with a single object or number inside gets the name as ``key``."""
    if not isinstance(row, Mapping):
        raise AvrewardError(f"{path}, row {number}: expected an object, got {row!r:.60}; correct the row")
    if len(row) == 1:
        (name, value), *_ = row.items()
        if isinstance(value, Mapping):
            return {"key": name, **value}
        if isinstance(value, int | float):
            return {"key": name, "value": value}
    return dict(row)


def _lines(path: Path, fields: Sequence[str]) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            first, *rest = line.rstrip("\n").split("|")
            # A prompt may hold the separator: what is in the middle is the prompt.
            parts = [first, "|".join(rest[:-1]), rest[-1]] if len(rest) > 1 and len(fields) == 3 else [first, *rest]
            if len(parts) != len(fields):
                raise AvrewardError(
                    f"{path}, line {number}: expected {'|'.join(fields)}, got {line.strip()!r:.60}; labels are needed, "
                    "so give the file that has them"
                )
            yield dict(zip(fields, parts, strict=True))


Fix = Callable[[Record, Path], Record]
"""Adds to a record what its file or its values say: the system, the content, the path of the clip."""
