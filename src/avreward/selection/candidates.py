"""The candidates in a scored table, by group: whose score is missing and why, and who can be compared with whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward._display import Shown, ShownAsTable, counted
from avreward.errors import AvrewardError
from avreward.scoring.table_reader import ScoredTable

RULES = ("prompt", "video", "parent")
ODD = "its tracks or its rater's settings are not those of most of its group, so the scores are not comparable"


@dataclass(frozen=True, eq=False, repr=False)
class CandidateTable(ShownAsTable):
    """Candidates that can be compared within their groups.

    Attributes:
        table: all rows.
        reward: the column that counts; larger is better.
        values: float64 (rows,) of it, NaN where it is missing.
        group: int64 (rows,) index of `names`; -1 for a row that is left out.
        names: of the groups, in the order of first sight.
        rule: what clips of one group have in common, in words.
        missing: why rows are left out → how many.
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
    """The candidates of `table`, by group.

    Left out, and counted by reason: a row without a reward, without a group, or whose tracks (picture, sound) or
    fingerprint are not those of most rows of its group (of equally many, the earlier), as `best_of_n` does: the score
    of a silent clip and that of a clip with sound do not measure the same.

    Args:
        table: see `read_table`.
        reward: the column that counts (*optional*): by default ``reward``.
        group_by: ``prompt``, ``video``, ``parent`` (the folder), or any column; by default the column ``group``,
            however that was formed.

    Raises `AvrewardError` where there is no such column, or nothing is left.
    """
    name = table.reward_column(reward)
    values = table.numbers(name)
    group, names, rule = _groups(table, group_by)
    why = Counter(_reasons(table, name, np.flatnonzero(np.isnan(values))))
    lost = np.isnan(values)
    homeless = ~lost & (group < 0)
    if homeless.any():
        why[f"no group: nothing under {group_by or 'group'}"] = int(homeless.sum())
    group = np.where(lost | homeless, -1, group)
    odd = _odd(table, group)
    if odd.any():
        why[ODD] = int(odd.sum())
    group = np.where(odd, -1, group)
    if not (group >= 0).any():
        raise AvrewardError(
            f"{table.path}: no candidates are left of {len(table)} rows ({_listed(why)}); "
            "score them, or group otherwise"
        )
    return CandidateTable(table, name, values, group, names, rule, dict(why.most_common()))


Sized = list[tuple[NDArray[np.int64], NDArray[np.float64]]]


def by_size(group: NDArray[np.int64], values: NDArray[Any]) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
    """For each pool size n: which groups (counted without gaps), and their values (groups, n), in the table's order."""
    _, member, count = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(member, kind="stable")
    start = np.cumsum(count) - count
    found = []
    for n in np.unique(count):
        which = np.flatnonzero(count == n)
        found.append((which, values[order[start[which][:, None] + np.arange(n)]]))
    return found


def columns(sized: Sized) -> NDArray[np.float64]:
    """(groups, largest n) of what was computed for each size; NaN where a group has fewer columns."""
    width = max(values.shape[1] for _, values in sized)
    table = np.full((sum(len(which) for which, _ in sized), width), np.nan)
    for which, values in sized:
        table[which[:, None], np.arange(values.shape[1])] = values
    return table


def _groups(table: ScoredTable, by: str | None) -> tuple[NDArray[np.int64], list[str], str]:
    """Each row's group (-1 for none), the groups' names, and the rule in words."""
    formed = table.metadata.get("group_by")
    if by == "parent" and formed != "parent":
        return (*_encoded(_parents(table)), "the folder of the clip")
    if by == "video" and formed != "video":
        said = "formed otherwise" if formed is None else f"formed by {formed}"
        remedy = "score them again with --group-by video; nothing is decoded twice where the store is kept"
        raise AvrewardError(
            f"{table.path}: its groups are {said}, and it does not say whose picture is whose; {remedy}"
        )
    column = "group" if by is None or (by in RULES and by == formed) else by
    words = {
        None: "the column group",
        "parent": "the folder of the clip",
        "video": "the picture",
        "prompt": "the prompt",
    }
    rule = words[formed] if column == "group" and formed in words else f"the column {column}"
    return (*_encoded(table.column(column)), rule)


def _parents(table: ScoredTable) -> object:
    from pyarrow import compute

    clip = table.column("clip")
    folder = compute.replace_substring_regex(clip, pattern=r"(.)/[^/]*$", replacement=r"\1")
    return compute.if_else(compute.match_substring(clip, "/"), folder, ".")


def _encoded(column: object) -> tuple[NDArray[np.int64], list[str]]:
    from pyarrow import chunked_array, types

    if types.is_dictionary(column.type):  # type: ignore[attr-defined]
        column = column.cast(column.type.value_type)  # type: ignore[attr-defined]
    found = chunked_array(column).combine_chunks().dictionary_encode()
    codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(name) for name in found.dictionary.to_pylist()]


def _reasons(table: ScoredTable, column: str, rows: NDArray[np.int64]) -> list[str]:
    """Why each of `rows` has no score in `column`."""
    infinite = table.infinite(column)[rows]
    none, odd = f"no value under {column}", f"a value under {column}, but it is not finite"
    unsaid = [odd if there else none for there in infinite]
    if not table.has("reasons"):
        return unsaid
    found = []
    for told, none in zip(table.rows["reasons"].take(rows).to_pylist(), unsaid, strict=True):
        if told and not isinstance(told[0], Mapping):  # a map type, in a table of one's own
            told = [{"dimension": dimension, "reason": reason} for dimension, reason in told]
        by_name = {entry["dimension"]: entry["reason"] for entry in told or ()}
        texts = [by_name[column]] if column in by_name else list(by_name.values())
        found.append("; ".join(dict.fromkeys(map(str, texts))) or none)
    return found


def _odd(table: ScoredTable, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows whose tracks or fingerprint are not those of most of their group."""
    kind = np.zeros(len(table), dtype=np.int64)
    if table.has("fingerprint"):
        kind = _encoded(table.column("fingerprint"))[0] + 1
    for track in ("width", "sample_rate"):  # of the picture, of the sound
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
