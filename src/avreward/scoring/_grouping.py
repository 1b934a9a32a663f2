"""What the clips of a group share: the one place that says what a rule means, for clips and for scored tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError, unknown_name

if TYPE_CHECKING:
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.table_reader import ScoredTable

RULES = ("parent", "prompt", "video", "stem")  # what the clips of a group can share, besides a column
_WORDS = {
    "parent": "the folder of the clip",
    "prompt": "the prompt",
    "video": "the video",
    "stem": "the file's name",
    "group": "the column group",
}


@dataclass(frozen=True, eq=False)
class TableGroups:
    """The groups of the rows of a scored table.

    Attributes:
        codes: int64 (rows,) index into `names`; -1 for a row without a group.
        names: of the groups, in order of first appearance.
        words: what the clips of a group share, in words.
    """

    codes: NDArray[np.int64]
    names: list[str]
    words: str

    @property
    def keys(self) -> list[str | None]:
        """The name of each row's group; `None` where it has none."""
        return [self.names[code] if code >= 0 else None for code in self.codes.tolist()]


def group_of(listed: ListedClip, by: str, clip: Clip | None = None) -> str | None:
    """Return the name of a clip's group, or `None` where it has none.

    Args:
        listed: the clip.
        by: a column of its manifest, or what a group shares: ``parent`` (the folder), ``prompt``, ``video`` (the
            video track), ``stem`` (the file's name without its ending). A column of such a name comes first.
        clip: the opened clip (*optional*), so that ``video`` need not open it.

    Raises:
        ArgumentError: if `by` is neither.

    Example:
        >>> from avreward.scoring import ListedClip
        >>> group_of(ListedClip(Path("dubs/rain/1.wav")), "parent")
        'dubs/rain'
    """
    return group_in(listed, by, names_column([listed], by), clip)


def names_column(clips: Iterable[ListedClip], by: str) -> bool:
    """Return whether `by` is a column of at least one of the clips, and not a rule.

    Raises an `ArgumentError` if it is neither.
    """
    columns = dict.fromkeys(name for listed in clips for name in listed.columns)
    if by not in columns and by not in RULES:
        raise unknown_name("group_by", by, [*RULES, *columns], "use one of them, or a manifest with this column")
    return by in columns


def group_in(listed: ListedClip, by: str, column: bool, clip: Clip | None = None) -> str | None:
    """Return the name of the group of one of many clips, or `None`; `column` is what `names_column` says of them."""
    if column:
        value = listed.columns.get(by)
        return None if value in (None, "") else str(value)
    if by == "prompt":
        return listed.prompt or None
    if by != "video":
        return _of_path(listed.path, by)
    try:
        return (clip or Clip.open(listed.path)).keys.get("video")
    except MediaError:
        return None


def default_rule(grouped: bool, prompts: Iterable[str | None]) -> str:
    """Return by what clips are grouped if nobody says: the column ``group``, the prompt if there is one, the folder."""
    return "group" if grouped else "prompt" if any(prompts) else "parent"


def table_default(table: ScoredTable) -> str:
    """Return by what the rows of a table are grouped if nobody says; see `default_rule`."""
    return default_rule(table.has("group"), table.column("prompt").to_pylist() if table.has("prompt") else ())


def table_groups(table: ScoredTable, by: str | None = None, name: str = "group_by") -> TableGroups:
    """Return the groups of a table's rows, as `group_of` forms those of clips.

    Args:
        table: the table.
        by: a column, or one of `RULES`; a column of such a name comes first. ``video`` needs a table that was grouped
            by it, since nothing is opened. Default: see `default_rule`.
        name: of the argument that `by` comes from, for errors.

    Raises:
        ArgumentError: if `by` is neither, or ``video`` and the table was grouped by something else.
    """
    by = by or table_default(table)
    formed = table.metadata.get("group_by")
    if table.has(by):
        column = table.column(by)
    elif by == formed and table.has("group"):
        column = table.column("group")
    elif by in ("parent", "stem"):
        column = _of_paths(table, by)
    elif by == "video":
        got = Described(f"{table.path} with groups by {formed or 'another rule'}")
        remedy = "score the clips again with --group-by video (scores in the store are reused)"
        raise ArgumentError(name, "another rule than video, or a table grouped by video", got, remedy)
    else:
        known = dict.fromkeys([*RULES, *table.rows.column_names])
        raise unknown_name(name, by, known, "use one of them, or a table with this column")
    return TableGroups(*encoded(column), _table_words(table, by))


def in_words(by: str, column: bool = False) -> str:
    """Return what the clips of a group share, in words; `column` says that a column of that name decides.

    Example:
        >>> in_words("parent"), in_words("system"), in_words("parent", column=True)
        ('the folder of the clip', 'the column system', 'the column parent')
    """
    return f"the column {by}" if column and by != "prompt" else _WORDS.get(by, f"the column {by}")


def encoded(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Return each row's index into the values of an Arrow column, -1 for null or an empty text, and the values."""
    from pyarrow import chunked_array, compute, types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_string(column.type):
        column = compute.if_else(compute.equal(column, ""), None, column)
    found = chunked_array(column).combine_chunks().dictionary_encode()
    codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(name) for name in found.dictionary.to_pylist()]


def _table_words(table: ScoredTable, by: str) -> str:
    formed = table.metadata.get("group_by")
    if by == "group" and formed in RULES:  # the column holds what the rule, or a column of its name, gave
        by = str(formed)
    return in_words(by, column=table.has(by))


def _of_path(path: PurePath, by: str) -> str:
    return path.parent.as_posix() if by == "parent" else path.stem


def _of_paths(table: ScoredTable, by: str) -> Any:
    import pyarrow

    paths = table.column("clip").to_pylist()
    found = [None if path is None else _of_path(Path(str(path)), by) for path in paths]
    return pyarrow.chunked_array([pyarrow.array(found, pyarrow.string())])
