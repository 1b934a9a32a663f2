"""Write the rows of a scored table as Parquet, JSON lines or CSV, and its metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from avreward._csv_cells import CellWriter
from avreward._parsing import parsed_json
from avreward._whole_files import whole_file

if TYPE_CHECKING:
    import pyarrow

METADATA_KEY = b"avreward"  # in a Parquet file's metadata; its value is JSON
FORMAT = "format"  # in a metadata file: the ending of its table, since tables of one name share the file

Columns = Sequence[tuple[str, str]]  # name, kind: string, double, int32, int64, reasons


class RowSink(Protocol):
    """A file that takes rows."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, with a value for each column."""

    def close(self) -> None:
        """Finish the file."""


class ParquetRows:
    """Rows as row groups of a Parquet file, with the metadata in its schema."""

    def __init__(self, path: Path, columns: Columns, metadata: Mapping[str, Any]) -> None:
        import pyarrow
        from pyarrow import parquet

        # A list of pairs, since `datasets` does not read map types.
        reasons = pyarrow.list_(pyarrow.struct([("dimension", pyarrow.string()), ("reason", pyarrow.string())]))
        types = {"reasons": reasons, "string": pyarrow.string(), "double": pyarrow.float64()}
        types |= {"int32": pyarrow.int32(), "int64": pyarrow.int64()}
        fields = [(name, types[kind]) for name, kind in columns]
        self.schema: pyarrow.Schema = pyarrow.schema(fields, metadata={METADATA_KEY: json.dumps(metadata).encode()})
        self.writer = parquet.ParquetWriter(path, self.schema, compression="zstd")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a row group."""
        import pyarrow

        self.writer.write_table(pyarrow.Table.from_pylist(list(rows), schema=self.schema))

    def close(self) -> None:
        """Write the footer."""
        self.writer.close()


class JsonRows:
    """Rows as JSON objects, one a line."""

    def __init__(self, path: Path, columns: Columns, metadata: Mapping[str, Any]) -> None:
        self.file: IO[str] = path.open("w", encoding="utf-8")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a line a row."""
        self.file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class SeparatedRows:
    """Rows as CSV with a header; reasons are a JSON object in a cell, and formulas get an apostrophe."""

    def __init__(self, path: Path, columns: Columns, metadata: Mapping[str, Any]) -> None:
        self.file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self.rows = CellWriter(self.file, [name for name, _ in columns])
        self.reasons = [name for name, kind in columns if kind == "reasons"]

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a line a row."""
        for row in rows:
            self.rows.add(dict(row) | {name: _as_object(row[name]) for name in self.reasons})
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


SINKS: Mapping[str, Callable[[Path, Columns, Mapping[str, Any]], RowSink]] = {
    ".parquet": ParquetRows,
    ".jsonl": JsonRows,
    ".csv": SeparatedRows,
}
ENDINGS = tuple(SINKS)


def metadata_file(table: Path) -> Path:
    """Return the file with the metadata of a table that is not Parquet: ``NAME.meta.json``."""
    return table.with_suffix(".meta.json")


def write_metadata(table: Path, metadata: Mapping[str, Any]) -> None:
    """Write the metadata of a table beside it, unless Parquet holds them."""
    if table.suffix.lower() == ".parquet":
        return
    path = metadata_file(table)
    with whole_file(path) as part:
        part.write_text(json.dumps({FORMAT: table.suffix.lower(), **metadata}, indent=2, ensure_ascii=False) + "\n")


def read_metadata(table: Path) -> dict[str, Any]:
    """Return the metadata beside a table; empty where there are none, or they are those of another format."""
    path = metadata_file(table)
    if not path.is_file():
        return {}
    found = parsed_json(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) and found.pop(FORMAT, None) == table.suffix.lower() else {}


def cleaned(value: Any, kind: str) -> Any:
    """Return a value as a table holds it: null for a number that is not finite, text that can be written as UTF-8."""
    if kind == "reasons":
        return [{"dimension": dimension, "reason": _text(reason)} for dimension, reason in (value or {}).items()]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _text(str(value)) if kind == "string" and value is not None else value


def _as_object(reasons: Sequence[Mapping[str, str]] | None) -> str:
    named = {entry["dimension"]: entry["reason"] for entry in reasons or ()}
    return json.dumps(named, ensure_ascii=False) if named else ""


def _text(text: str) -> str:
    """Text that can be written as UTF-8: a file's name may be any bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
