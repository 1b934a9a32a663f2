"""The candidates in a scored table, by group; rows without a comparable score are left out and counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward._display import Shown, ShownAsTable, counted
from avreward.errors import AvrewardError
from avreward.rewards.io import reward_file
from avreward.scoring._grouping import encoded, table_groups
from avreward.scoring.table_reader import ScoredTable

ODD = "its tracks or its rater's settings differ from those of most of its group, so the scores are not comparable"


@dataclass(frozen=True, eq=False, repr=False)
class CandidateTable(ShownAsTable):
    """Candidates that can be compared within their groups.

    Attributes:
        table: all rows.
        reward: the column to choose by; larger is better.
        values: float64 (rows,) of that column, NaN where missing.
        group: int64 (rows,) index into `names`; -1 for a row that is left out.
        names: of the groups, in order of first appearance.
        rule: what the clips of a group have in common, in words.
        missing: reason → number of rows that are left out for it.
    """

    table: ScoredTable
    reward: str
    values: NDArray[np.float64]
    group: NDArray[np.int64]
    names: list[str]
    rule: str
    missing: Mapping[str, int]

    @property
    def kept(self) -> NDArray[np.int64]:
        """Indices of the rows that are not left out, in order."""
        return np.flatnonzero(self.group >= 0)

    def _shown(self) -> Shown:
        counts = np.bincount(self.group[self.kept], minlength=len(self.names))
        best = np.full(len(self.names), -np.inf)
        np.maximum.at(best, self.group[self.kept], self.values[self.kept])
        rows = ((name, int(counts[i]), float(best[i])) for i, name in enumerate(self.names) if counts[i])
        groups = int((counts > 0).sum())
        title = (
            f"{self.table.path}: {counted(len(self.kept), 'candidate')} in {counted(groups, 'group')} by {self.rule}"
        )
        return title, ["group", "candidates", f"best {self.reward}"], rows, groups


def candidates_of(table: ScoredTable, reward: str | None = None, group_by: str | None = None) -> CandidateTable:
    """Return the candidates of a scored table, by group.

    Rows are left out, and counted by reason, if they have no reward, no group, or tracks (video, audio) or a
    fingerprint that differ from those of most rows of their group (of equally many, the earlier). As in `best_of_n`,
    the score of a silent clip and that of a clip with audio do not measure the same.

    Args:
        table: see `read_table`.
        reward: the column to choose by, or an expression over the columns of scores. Default: ``reward``.
        group_by: ``prompt``, ``video``, ``parent`` (the folder), ``stem`` (the file's name without its ending), or
            any column; a column of such a name comes first. Default: the column ``group``, or in a table without one
            the prompt if there is one, or else the folder.

    Raises:
        ArgumentError: if the table was not grouped by video and `group_by` is ``video``.
        AvrewardError: if a column does not exist, or no candidates are left.
    """
    table, reward = with_computed(table, reward)
    name = table.reward_column(reward)
    values = table.numbers(name)
    groups = table_groups(table, group_by)
    group = groups.codes
    why = Counter(_reasons(table, name, np.flatnonzero(np.isnan(values))))
    lost = np.isnan(values)
    alone = ~lost & (group < 0)
    if alone.any():
        why[f"no group: nothing under {group_by or 'group'}"] = int(alone.sum())
    group = np.where(lost | alone, -1, group)
    odd = _odd(table, group)
    if odd.any():
        why[ODD] = int(odd.sum())
    group = np.where(odd, -1, group)
    if not (group >= 0).any():
        raise AvrewardError(
            f"{table.path}: expected at least one candidate, got none of {len(table)} rows ({_listed(why)}); "
            "score them, or group by another column"
        )
    return CandidateTable(table, name, values, group, groups.names, groups.words, dict(why.most_common()))


def with_computed(table: ScoredTable, reward: str | None) -> tuple[ScoredTable, str | None]:
    """Return the table with the reward of an expression in the column ``reward``, and the column to choose by."""
    if reward is None or table.has(reward) or not _computed(table, reward):
        return table, reward
    return table.with_reward(reward), None


def _computed(table: ScoredTable, reward: str) -> bool:
    """Return whether a reward that names no column is an expression over columns, and not a misspelt name of one."""
    short = any(column.rpartition(".")[2] == reward for column in table.scores if "." in column)
    return short or reward_file(reward) is not None or re.fullmatch(r"[\w.]+", reward) is None


Sized = list[tuple[NDArray[np.int64], NDArray[np.float64]]]


def by_size(group: NDArray[np.int64], values: NDArray[Any]) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Return, for each group size n, the groups (numbered without gaps) and their values (groups, n) in table order."""
    _, member, count = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(member, kind="stable")
    start = np.cumsum(count) - count
    found = []
    for n in np.unique(count):
        which = np.flatnonzero(count == n)
        found.append((which, values[order[start[which][:, None] + np.arange(n)]]))
    return found


def columns(sized: Sized) -> NDArray[np.float64]:
    """Join the results of all group sizes to (groups, largest n); NaN where a group has fewer columns."""
    width = max(values.shape[1] for _, values in sized)
    table = np.full((sum(len(which) for which, _ in sized), width), np.nan)
    for which, values in sized:
        table[which[:, None], np.arange(values.shape[1])] = values
    return table


def _reasons(table: ScoredTable, column: str, rows: NDArray[np.int64]) -> list[str]:
    """Return why each of `rows` has no score in `column`."""
    infinite = table.infinite(column)[rows]
    none, odd = f"no value under {column}", f"a value under {column}, but it is not finite"
    default = [odd if there else none for there in infinite]
    if not table.has("reasons"):
        return default
    found = []
    for reasons, otherwise in zip(table.rows["reasons"].take(rows).to_pylist(), default, strict=True):
        if reasons and not isinstance(reasons[0], Mapping):  # a map type, in a table that other software wrote
            reasons = [{"dimension": dimension, "reason": reason} for dimension, reason in reasons]
        by_name = {entry["dimension"]: entry["reason"] for entry in reasons or ()}
        texts = [by_name[column]] if column in by_name else list(by_name.values())
        found.append("; ".join(dict.fromkeys(map(str, texts))) or otherwise)
    return found


def _odd(table: ScoredTable, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (rows,) whether a row's tracks or fingerprint differ from those of most of its group."""
    kind = np.zeros(len(table), dtype=np.int64)
    if table.has("fingerprint"):
        kind = encoded(table.column("fingerprint"))[0] + 1
    for track in ("width", "sample_rate"):  # of the video, of the audio
        if table.has(track):
            kind = kind * 2 + np.isfinite(table.numbers(track))
    inside = np.flatnonzero(group >= 0)
    odd = np.zeros(len(table), dtype=bool)
    if len(inside) == 0 or (kind[inside] == kind[inside[0]]).all():
        return odd
    both = group[inside] * (int(kind.max()) + 1) + kind[inside]
    cells, first, which, count = np.unique(both, return_index=True, return_inverse=True, return_counts=True)
    owner = cells // (int(kind.max()) + 1)
    order = np.lexsort((first, -count, owner))  # of each group the largest cell first, then the earliest
    best = order[np.unique(owner[order], return_index=True)[1]]
    main = np.zeros(len(cells), dtype=bool)
    main[best] = True
    odd[inside] = ~main[which]
    return odd


def _listed(why: Mapping[str, int], at_most: int = 3) -> str:
    parts = [f"{count} × {reason}" for reason, count in Counter(why).most_common(at_most)]
    return "; ".join(parts) + (f"; {len(why) - at_most} more reasons" if len(why) > at_most else "")
