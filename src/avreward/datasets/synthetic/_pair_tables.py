"""The journal of a run that writes pairs, and the tables made of it when the run ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from avreward._csv_cells import CellWriter
from avreward._parsing import parsed_json
from avreward._whole_files import whole_file
from avreward.errors import AvrewardError

JOURNAL = "journal.jsonl"
FIRST = ("pair", "group", "prompt", "first", "second", "first_prompt", "second_prompt", "preferred", "margin")
REST = (
    "dimension", "kind", "perturbation", "severity", "unit", "subset", "scenario", "category", "texts.speech", "source",
    "start", "seconds", "other", "seed",
)  # fmt: skip
LABELS = (
    "clip",
    "group",
    "prompt",
    "texts.speech",
    "level",
    "dimension",
    "pair",
    "kind",
    "subset",
    "scenario",
    "category",
)
LEVELS = {"excellent": 5, "bad": 1}  # of five
SKIPPED = ("pair", "kind", "source", "other", "reason")


class PairJournal:
    """A line a pair, written when both of its clips are there: what a stopped run continues from.

    Attributes:
        rows: how many pairs it holds, those that could not be made too.
        next: the number after that of the last pair that was there when it was opened.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.rows, self.next, end = 0, 0, 0
        self.file: IO[bytes] = self.path.open("r+b" if self.path.exists() else "w+b")
        for line in self.file:
            if not line.endswith(b"\n"):
                break  # a line that was being written when the run was killed
            try:
                self.next = parsed_json(line)["number"] + 1
            except (ValueError, KeyError, TypeError):
                break
            self.rows, end = self.rows + 1, end + len(line)
        self.file.seek(end)
        self.file.truncate()

    def known(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of earlier runs."""
        return rows_of(self.path.parent)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row."""
        self.file.write(json.dumps(row, ensure_ascii=False).encode(errors="surrogateescape") + b"\n")
        self.file.flush()
        self.rows += 1

    def __enter__(self) -> PairJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()


def rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a folder's journal, one after the other."""
    try:
        with (folder / JOURNAL).open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                yield parsed_json(line)
    except (OSError, ValueError) as error:
        raise AvrewardError(f"{folder / JOURNAL}: it can't be read ({error}); choose another folder") from error


def write_tables(folder: Path) -> None:
    """Write ``pairs.csv``, ``labels.csv`` and ``skipped.csv`` from the journal, row by row, each in one step."""
    dimensions = sorted({row["dimension"] for row in rows_of(folder)})
    _write(folder / "pairs.csv", (*FIRST, *dimensions, *REST), map(_pair, _made(folder)))
    _write(folder / "labels.csv", (*LABELS, *dimensions), _labels(folder))
    _write(folder / "skipped.csv", SKIPPED, (row for row in rows_of(folder) if row["reason"] is not None))


def _made(folder: Path) -> Iterator[dict[str, Any]]:
    return (row for row in rows_of(folder) if row["reason"] is None)


def _pair(row: dict[str, Any]) -> dict[str, Any]:
    return row | {row["dimension"]: row["preferred"]}


def _labels(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row a clip and question. A real clip has one for each dimension that it is asked about."""
    said: set[tuple[str, str, str | None]] = set()
    for row in _made(folder):
        for side in ("first", "second"):
            level = "excellent" if row["preferred"] == side else "bad"
            key = (row[side], row["dimension"], row[f"{side}_prompt"])
            if level == "excellent":
                if key in said:
                    continue
                said.add(key)
            kept = {name: row.get(name) for name in LABELS}
            yield kept | {
                "clip": row[side], "prompt": row[f"{side}_prompt"], "level": level, row["dimension"]: LEVELS[level],
            }  # fmt: skip


def _write(path: Path, columns: tuple[str, ...], rows: Iterator[Mapping[str, Any]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = CellWriter(file, columns)
        for row in rows:
            writer.add(row)
