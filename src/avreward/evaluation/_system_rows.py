"""The rows of a scored table by system and group, and what is left out of a comparison, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError, Described
from avreward.scoring._grouping import table_default, table_groups
from avreward.scoring.table_reader import ScoredTable

Array = NDArray[np.float64]
MOST = 30  # systems: more are clips that the rule does not bring together


@dataclass(frozen=True)
class LeftOutClip:
    """A clip that is left out of a comparison of systems.

    Attributes:
        clip: its path.
        dimension: the score that it lacks, or empty if it is left out altogether.
        reason: why.
    """

    clip: str
    dimension: str
    reason: str


@dataclass(frozen=True)
class SystemRows:
    """Rows that can be compared.

    Attributes:
        systems: names, in order of first appearance.
        groups: names, in order of first appearance.
        system: (rows,) index into `systems`.
        group: (rows,) index into `groups`.
        values: column → (rows,) its scores, NaN where missing.
        clips: (rows,) paths.
        categories: (rows,) the value of the column that categories come from, or `None`.
        rule: what the clips of a group share, in words.
        left_out: clips without a score, and why.
    """

    systems: tuple[str, ...]
    groups: tuple[str, ...]
    system: NDArray[np.int64]
    group: NDArray[np.int64]
    values: dict[str, Array]
    clips: tuple[str, ...]
    categories: tuple[str, ...] | None
    rule: str
    left_out: tuple[LeftOutClip, ...]

    def cells(self, column: str, rows: NDArray[np.bool_] | None = None) -> Array:
        """Return the mean of each system in each group (groups, systems), NaN where there is no score."""
        total, count = np.zeros((2, len(self.groups), len(self.systems)))
        used = np.isfinite(self.values[column]) & (True if rows is None else rows)
        np.add.at(total, (self.group[used], self.system[used]), self.values[column][used])
        np.add.at(count, (self.group[used], self.system[used]), 1.0)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def wins(self, column: str, lower: bool) -> Array:
        """Return the share of clips of the row's system that beat one of the column's, of the same group; ties half.

        The result is (groups, systems, systems), NaN where a group lacks one of the two.
        """
        found = np.full((len(self.groups), len(self.systems), len(self.systems)), np.nan)
        scores = -self.values[column] if lower else self.values[column]
        used = np.flatnonzero(np.isfinite(scores))
        used = used[np.argsort(self.group[used], kind="stable")]
        starts = np.flatnonzero(np.diff(self.group[used], prepend=-1))
        for rows in np.split(used, starts[1:]) if len(used) else ():
            mine = {int(s): np.sort(scores[rows[self.system[rows] == s]]) for s in np.unique(self.system[rows])}
            for (a, first), (b, second) in combinations(mine.items(), 2):
                below = np.searchsorted(second, first, "left") + np.searchsorted(second, first, "right")
                share = float(below.mean()) / 2 / len(second)
                found[self.group[rows[0]], [a, b], [b, a]] = share, 1 - share
        return found


def system_rows(
    table: ScoredTable, system: str, group_by: str | None, columns: Sequence[str], by: str | None
) -> SystemRows:
    """Return the rows of `table` by system and group; see `compare_systems` for the arguments.

    Raises:
        ArgumentError: for unknown columns, and if fewer than two systems share a group.
    """
    names = [str(name) for name in table.column("clip").to_pylist()]
    group_by = _grouping(table, system, group_by)
    places = table_groups(table, group_by)
    owner, place = table_groups(table, system, "system").keys, places.keys
    values = {column: table.numbers(column) for column in columns}
    reasons = _left_out(table, names, owner, place, values, system, group_by)
    kept = np.array([row not in reasons for row in range(len(table))])
    systems, groups = (
        tuple(dict.fromkeys(k for k, use in zip(keys, kept, strict=True) if use)) for keys in (owner, place)
    )
    rows = np.flatnonzero(kept)
    found = SystemRows(
        tuple(map(str, systems)),
        tuple(map(str, groups)),
        np.array([systems.index(owner[i]) for i in rows], dtype=np.int64),
        _positions([place[i] for i in rows], groups),
        {column: numbers[rows] for column, numbers in values.items()},
        tuple(names[i] for i in rows),
        None if by is None else tuple(str(key) for key in np.array(table_groups(table, by, "by").keys, object)[rows]),
        places.words,
        (*(LeftOutClip(names[i], "", why) for i, why in reasons.items()), *_lacking(table, names, rows, values)),
    )
    _check(found, table, system, group_by)
    return found


def _positions(keys: Sequence[str | None], names: Sequence[str | None]) -> NDArray[np.int64]:
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[key] for key in keys], dtype=np.int64)


def _grouping(table: ScoredTable, system: str, group_by: str | None) -> str:
    """Return by what clips are grouped; where folders are systems, by the file's name unless a table says otherwise."""
    if group_by is not None:
        return group_by
    if system == "parent" and table.metadata.get("group_by") in (None, "parent"):
        return "stem"  # a folder a system, with files of the same names
    rule = table_default(table)
    return "stem" if rule == system == "parent" else rule


def _left_out(
    table: ScoredTable,
    clips: Sequence[str],
    owner: Sequence[str | None],
    place: Sequence[str | None],
    values: dict[str, Array],
    system: str,
    group_by: str,
) -> dict[int, str]:
    """Return the rows that are left out altogether → why."""
    nothing = ~np.any([np.isfinite(numbers) for numbers in values.values()], axis=0)
    found = {row: _reason(table, row, None) or "it has no score" for row in np.flatnonzero(nothing).tolist()}
    for row in range(len(clips)):
        if row not in found and owner[row] is None:
            found[row] = f"no system: nothing under {system}"
        elif row not in found and place[row] is None:
            found[row] = f"no group: nothing under {group_by}"
    for kinds, why in ((_fingerprints(table), "scored with other settings"), (_tracks(table), "it has other tracks")):
        rows = [row for row in range(len(clips)) if row not in found]
        if not rows or not len(kinds):
            continue
        kept, first, which, count = np.unique(kinds[rows], return_index=True, return_inverse=True, return_counts=True)
        most = max(range(len(kept)), key=lambda i: (count[i], -first[i]))
        for row, kind in zip(rows, which.tolist(), strict=True):
            if kind != most:
                found[row] = f"{why} than most clips, so its scores are not comparable"
    return dict(sorted(found.items()))


def _fingerprints(table: ScoredTable) -> NDArray[Any]:
    return np.array([str(f) for f in table.column("fingerprint").to_pylist()] if table.has("fingerprint") else [])


def _tracks(table: ScoredTable) -> NDArray[Any]:
    there = [np.isfinite(table.numbers(name)) for name in ("width", "sample_rate") if table.has(name)]
    return np.sum([2**i * one for i, one in enumerate(there)], axis=0) if there else np.array([])


def _lacking(
    table: ScoredTable, names: Sequence[str], rows: NDArray[np.int64], values: dict[str, Array]
) -> list[LeftOutClip]:
    """Return the clips that lack one of the scores and have another."""
    return [
        LeftOutClip(names[row], column, _reason(table, row, column) or f"no value under {column}")
        for column, numbers in values.items()
        for row in rows[~np.isfinite(numbers[rows])].tolist()
    ]


def _reason(table: ScoredTable, row: int, column: str | None) -> str:
    """Return the reason for a missing score that the table gives, or an empty text."""
    if not table.has("reasons"):
        return ""
    told = table.rows["reasons"][row].as_py() or ()
    pairs = [(one["dimension"], one["reason"]) if isinstance(one, dict) else tuple(one) for one in told]
    fitting = [str(why) for name, why in pairs if column is None or name == column]
    return "; ".join(dict.fromkeys(fitting))


def _check(found: SystemRows, table: ScoredTable, system: str, group_by: str) -> None:
    """Raise an `ArgumentError` unless systems can be compared within groups."""
    lost = f" ({len(found.left_out)} clips have no usable score)" if found.left_out else ""
    if len(found.systems) < 2:
        got = Described(f"{', '.join(found.systems) or 'none'} in {table.path}{lost}")
        remedy = f"choose what tells systems apart: stem, parent or a column; now it is {system}"
        raise ArgumentError("system", "at least two systems with scores", got, remedy)
    if len(found.systems) > MOST:
        got = Described(f"{len(found.systems)}, such as {', '.join(found.systems[:3])}")
        remedy = f"choose what tells systems apart: stem, parent or a column; now it is {system}"
        raise ArgumentError("system", f"at most {MOST} systems", got, remedy)
    both = np.zeros((len(found.groups), len(found.systems)), dtype=bool)
    both[found.group, found.system] = True
    if not (both.sum(axis=1) > 1).any():
        got = Described(f"none of {len(found.groups)} groups with two systems")
        remedy = f"choose what the clips of a group share: prompt, parent, stem or a column; now it is {group_by}"
        raise ArgumentError("group_by", "groups with clips of several systems", got, remedy)
