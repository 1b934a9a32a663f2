"""Writes the rows of an experiment's answers as a table."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from avreward._csv_cells import write_csv
from avreward._whole_files import whole_file
from avreward.errors import ArgumentError, AvrewardError

if TYPE_CHECKING:
    import pandas

ENDINGS = (".csv", ".jsonl", ".parquet")


def write_rows(table: pandas.DataFrame, path: str | PathLike[str]) -> Path:
    """Write a table as CSV, JSON lines or Parquet, by the file's ending, all of it or nothing.

    In CSV, text that a spreadsheet would run as a formula begins with an apostrophe.

    Returns:
        The path.

    Raises:
        ArgumentError: if the name has another ending.
        AvrewardError: if the file can't be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ArgumentError("path", f"a name that ends in {', '.join(ENDINGS)}", str(path))
    try:
        with whole_file(path) as part:
            if ending == ".csv":
                write_csv(table, part)
            elif ending == ".jsonl":
                table.to_json(part, orient="records", lines=True, force_ascii=False)
            else:
                table.to_parquet(part, index=False)
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); name another file") from error
    return path
