"""The files of exported pairs: Parquet of all columns, and a trainer's own JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.scoring.table_writer import METADATA_KEY
from avreward.selection.pairs.formats.base import PairFormat

if TYPE_CHECKING:
    import pyarrow

AT_ONCE_WITH_MEDIA = 32  # rows in memory

Add = Callable[[Any], None]


@contextmanager
def lossless(path: Path, metadata: Mapping[str, Any]) -> Iterator[Add]:
    """Yield a function that adds pairs to a Parquet file; the first ones set the columns."""
    from pyarrow import parquet

    writer = None
    path.parent.mkdir(exist_ok=True)
    try:

        def add(table: pyarrow.Table) -> None:
            nonlocal writer
            if writer is None:
                about = {METADATA_KEY: json.dumps(dict(metadata)).encode(), **(table.schema.metadata or {})}
                schema = table.schema.with_metadata(about)
                writer = parquet.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))

        yield add
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _lines(path: Path, form: PairFormat) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    with path.open("w", encoding="utf-8") as file:

        def add(rows: Sequence[Mapping[str, Any]]) -> None:
            file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)

        yield add


@contextmanager
def _csv(path: Path, form: PairFormat) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(form.columns), lineterminator="\n")
        writer.writeheader()
        yield writer.writerows


@contextmanager
def _binary(path: Path, form: PairFormat) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in form.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:

        def add(rows: Sequence[Mapping[str, Any]]) -> None:
            for at in range(0, len(rows), AT_ONCE_WITH_MEDIA):
                writer.write_table(pyarrow.Table.from_pylist(list(rows[at : at + AT_ONCE_WITH_MEDIA]), schema=schema))

        yield add


SHEETS = {".jsonl": _lines, ".json": _lines, ".csv": _csv, ".parquet": _binary}
