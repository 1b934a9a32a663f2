"""Display of results: an aligned table of text, and the same table as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import TypeAlias

from avreward._printable import printable

SHOWN = 10  # rows; the others are only counted


Shown: TypeAlias = tuple[str, Sequence[str], Iterable[Sequence[object]], int]  # title, columns, rows, how many rows


class ShownAsTable:
    """Base of results that are shown as a table, in a terminal and in a notebook; a subclass defines `_shown`."""

    def _shown(self) -> Shown:
        raise NotImplementedError

    def __repr__(self) -> str:
        return text_table(*self._shown())

    def _repr_html_(self) -> str:
        return html_table(*self._shown())


def number(value: float | None) -> str:
    """Return a number with at most three decimals, and an empty text for a missing one."""
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if abs(value) < 1e-3 or abs(value) >= 1e6 else f"{value:.3f}".rstrip("0").rstrip(".")


def text_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], count: int) -> str:
    """Return `title` and under it the first rows of `count`, in aligned columns.

    >>> print(text_table("2 clips", ["clip", "reward"], [("a.mp4", 71.5), ("b.mp4", None)], 2))
    2 clips
      clip   reward
      a.mp4  71.5
      b.mp4
    """
    cells = [[*columns], *([_cell(value) for value in row] for row in islice(rows, SHOWN))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    more = [f"… and {count - SHOWN} more"] if count > SHOWN else []
    return "\n".join([printable(title), *(f"  {line}".rstrip() for line in [*lines, *more])])


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], count: int) -> str:
    """Return the same as `text_table` in HTML; every text is escaped.

    >>> html_table("1 clip", ["clip"], [("<b>",)], 1).partition("<tbody>")[2]
    '<tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_cell(value))}</td>' for value in row)}</tr>" for row in islice(rows, SHOWN)
    )
    more = f"<p>… and {count - SHOWN} more</p>" if count > SHOWN else ""
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``"1 clip"``, ``"3 clips"``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cut(text: str, most: int = 200) -> str:
    """Return a text of at most `most` characters, with an ellipsis if it was longer.

    >>> cut("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _cell(value: object) -> str:
    if value is None or isinstance(value, float):
        return number(value)
    return printable(" ".join(str(value).split()))
