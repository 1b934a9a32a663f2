"""Cells of CSV that a spreadsheet would run as formulas: written with an apostrophe, and read back without it."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import pandas

# What a spreadsheet runs, behind any number of apostrophes, so that each text is read back as it was.
BEGINS = "'*[=+\\-@\t\r＝＋－＠]"
GUARDED = f"^'({BEGINS})"  # what `guarded` wrote
_RUN, _WRITTEN = re.compile(BEGINS), re.compile(GUARDED)

T = TypeVar("T")


def guarded(value: T) -> T | str:
    """Return a cell as CSV should hold it: a text that begins a formula gets an apostrophe before it.

    Numbers stay as they are, also those in texts.

    Example:
        >>> guarded("=HYPERLINK(…)"), guarded("-12.5"), guarded("a dog")
        ("'=HYPERLINK(…)", '-12.5', 'a dog')
    """
    if isinstance(value, str) and _RUN.match(value) and not _is_number(value):
        return f"'{value}"
    return value


def restored(value: T) -> T | str:
    """Return a cell as it was before `guarded`.

    Example:
        >>> restored("'=HYPERLINK(…)"), restored("'tis a dog")
        ('=HYPERLINK(…)', "'tis a dog")
    """
    return value[1:] if isinstance(value, str) and _WRITTEN.match(value) else value


class CellWriter:
    """Write rows of texts and numbers as CSV that `restored_row` reads back, whatever the texts.

    Args:
        file: opened with ``newline=""``.
        names: of the columns; other entries of a row are left out.
    """

    def __init__(self, file: IO[str], names: Sequence[str]) -> None:
        self.names = list(names)
        self._plain = csv.writer(file, lineterminator="\n")
        self._quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._write(self.names)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row; a column that is left out is empty."""
        self._write([row.get(name) for name in self.names])

    def _write(self, values: Sequence[Any]) -> None:
        cells = [guarded(value) for value in values]
        # Python quotes no \r, at which a reader begins another row.
        odd = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoted if odd else self._plain).writerow(cells)


def restored_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a CSV file as it was before it was written by `CellWriter`."""
    return {str(restored(name)): restored(value) for name, value in row.items()}


def csv_of(table: pandas.DataFrame) -> str:
    """Return a table as CSV that `restored_frame` restores, with its cells and the names of its columns guarded."""
    written = _mapped(table, guarded)
    odd = any("\r" in str(value) for name in _texts(table) for value in (name, *table[name]))
    quoting = csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL
    return str(written.to_csv(index=False, lineterminator="\n", quoting=quoting))


def write_csv(table: pandas.DataFrame, path: Path) -> None:
    """Write a table as CSV; see `csv_of`. A file name in it may be any bytes."""
    path.write_text(csv_of(table), encoding="utf-8", errors="surrogateescape", newline="")


def restored_frame(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return a table that `read_csv` read as it was before it was written by `write_csv`."""
    return _mapped(table, restored)


def _mapped(table: pandas.DataFrame, change: Any) -> pandas.DataFrame:
    changed = table.assign(**{name: table[name].map(change) for name in _texts(table)})
    return changed.rename(columns=change)


def _texts(table: pandas.DataFrame) -> list[Any]:
    return list(table.select_dtypes(exclude="number").columns)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text == text.strip() and "_" not in text
    except ValueError:
        return False
