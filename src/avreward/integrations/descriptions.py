"""What a silent video is to sound like, in words, for services that take text and no video."""

from __future__ import annotations

import csv
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from avreward._csv_cells import restored_row
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError

Describe = Callable[[Clip], str]


def prompt_of(clip: Clip) -> str:
    """Return the clip's prompt.

    >>> prompt_of(clip)
    'fireworks'
    """
    if not (clip.prompt or "").strip():
        raise MediaError(clip.name, "it has no prompt", "give it a prompt, or pass a table of descriptions")
    return str(clip.prompt)


class DescriptionTable:
    """``describe(clip)`` from a CSV file with the columns ``clip`` (a file's name, its ending or not) and ``text``.

    Other columns are ignored.

    Raises:
        ArgumentError: for a file that is not such a table.
        MediaError: when called with a clip that it does not list.

    Example:
        >>> text = "clip,text" + chr(10) + "dub1.mp4,fireworks far away" + chr(10)
        >>> _ = Path("sounds.csv").write_text(text)
        >>> DescriptionTable("sounds.csv")(Clip.open("dub1.mp4"))
        'fireworks far away'
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.texts = read_column(self.path, "text")

    @property
    def identity(self) -> str:
        """All of its texts, so that an edited table is another one."""
        return repr(sorted(self.texts.items()))

    def __call__(self, clip: Clip) -> str:
        """Return the clip's text."""
        stem = Path(clip.name).stem
        text = self.texts.get(clip.name, self.texts.get(stem, ""))
        if not text:
            raise MediaError(clip.name, f"{self.path} has no text for it", "add a line with its name and a description")
        return text


def read_column(path: Path, column: str) -> dict[str, str]:
    """Return the column ``clip`` of a CSV file → another column of it, without blanks around them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [restored_row(row) for row in csv.DictReader(file)]
            names = set(rows[0]) if rows else set()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        got = Described(f"a file that can't be read ({error})")
        raise ArgumentError(str(path), "a CSV file in UTF-8", got) from error
    if not {"clip", column} <= names:
        found = Described(", ".join(sorted(names)) or "an empty table")
        raise ArgumentError(str(path), f"the columns clip and {column}", found, "name them in its first line")
    return {(row["clip"] or "").strip(): (row[column] or "").strip() for row in rows}
