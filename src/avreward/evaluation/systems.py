"""Compare systems: which of several generators is best, from a scored table of their clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np

from avreward._display import Shown, ShownAsTable, counted
from avreward.errors import ArgumentError, unknown_name
from avreward.evaluation._system_columns import chosen_columns
from avreward.evaluation._system_dimension import (
    Settings,
    SystemDifference,
    SystemScore,
    corrected_over_dimensions,
    of_dimension,
)
from avreward.evaluation._system_rows import LeftOutClip, SystemRows, system_rows
from avreward.evaluation._system_words import notes_of, verdict_of
from avreward.scoring.table_reader import ScoredTable, read_table

if TYPE_CHECKING:
    import pandas

DRAWS = 9_999


@dataclass(frozen=True)
class CategoryScore:
    """One system on one dimension, in the groups of one category."""

    category: str
    dimension: str
    system: str
    mean: float
    clips: int
    groups: int


@dataclass(frozen=True, eq=False, repr=False)
class SystemComparison(ShownAsTable):
    """The result of `compare_systems`.

    Attributes:
        systems: the highest mean of the first dimension first.
        dimensions: the compared columns.
        lower: those of them of which a lower value is better.
        groups: number of groups.
        rule: what the clips of a group share, in words.
        level: of the intervals; differences count from a corrected p-value of 1 − `level` on.
        scores: each system on each dimension.
        differences: each pair of systems on each dimension, the better `first` first.
        categories: means by category, if they were asked for.
        left_out: clips without a score, and why.
        notes: remarks on the numbers, one sentence each.
        rows: the compared clips, for looking at them.
    """

    systems: tuple[str, ...]
    dimensions: tuple[str, ...]
    lower: frozenset[str]
    groups: int
    rule: str
    level: float
    scores: tuple[SystemScore, ...]
    differences: tuple[SystemDifference, ...]
    categories: tuple[CategoryScore, ...]
    left_out: tuple[LeftOutClip, ...]
    notes: tuple[str, ...]
    rows: SystemRows

    @property
    def clips(self) -> int:
        """The number of compared clips."""
        return len(self.rows.clips)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence for each dimension: which system is best, or that nothing tells them apart."""
        return tuple(verdict_of(self, dimension) for dimension in self.dimensions)

    def best(self, dimension: str) -> str | None:
        """Return the system with the best mean on a dimension; `None` if none has a score."""
        self._known(dimension)
        ranked = [one for one in self.scores if one.dimension == dimension and one.groups]
        chosen = (min if dimension in self.lower else max)(ranked, key=lambda one: one.mean, default=None)
        return None if chosen is None else chosen.system

    def category_rows(self) -> list[list[CategoryScore]]:
        """Return the means by category: a row a category and system, an entry a dimension."""
        cells = {(one.category, one.system, one.dimension): one for one in self.categories}
        categories = sorted({one.category for one in self.categories})
        return [[cells[c, s, d] for d in self.dimensions] for c in categories for s in self.systems]

    def score(self, dimension: str, system: str) -> SystemScore:
        """Return one system on one dimension; `ArgumentError` for an unknown name."""
        self._known(dimension, system)
        return next(one for one in self.scores if (one.dimension, one.system) == (dimension, system))

    def difference(self, dimension: str, first: str, second: str) -> SystemDifference | None:
        """Return `first` minus `second` on one dimension, `None` if no group has both.

        Raises:
            ArgumentError: for an unknown name.
        """
        self._known(dimension, first, second)
        for one in self.differences:
            if one.dimension == dimension and {one.first, one.second} == {first, second}:
                return one if one.first == first else reverse(one)
        return None

    def differs(self, one: SystemDifference) -> bool:
        """Return whether a difference is shown at the level of the comparison."""
        return one.corrected <= 1 - self.level + 1e-12

    def to_frame(
        self, what: Literal["scores", "differences", "categories", "left_out"] = "differences"
    ) -> pandas.DataFrame:
        """Return a part of the result as a data frame with a row an entry.

        Args:
            what: the part.

        Raises:
            ArgumentError: for another part.
        """
        import pandas

        parts = ("scores", "differences", "categories", "left_out")
        if what not in parts:
            raise unknown_name("what", what, parts)
        return pandas.DataFrame([asdict(one) for one in getattr(self, what)])

    def _known(self, dimension: str, *systems: str) -> None:
        if dimension not in self.dimensions:
            raise unknown_name("dimension", dimension, self.dimensions)
        for system in systems:
            if system not in self.systems:
                raise unknown_name("system", system, self.systems)

    def _shown(self) -> Shown:
        rows = ([system, *(self.score(d, system).mean for d in self.dimensions)] for system in self.systems)
        title = (
            f"{counted(len(self.systems), 'system')}, {counted(self.clips, 'clip')}, {counted(self.groups, 'group')}"
        )
        return f"{title}: {self.verdicts[0]}", ["system", *self.dimensions], rows, len(self.systems)


def compare_systems(
    table: ScoredTable | str | PathLike[str],
    system: str = "stem",
    *,
    group_by: str | None = None,
    columns: Sequence[str] | None = None,
    lower: Sequence[str] = (),
    by: str | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> SystemComparison:
    """Compare systems on the groups that they share, with intervals and p-values.

    A group is one observation, however many clips it has: a system's value in a group is the mean of its clips there.
    Differences are paired within groups and tested by exchanging the systems within groups; intervals invert that test.
    Corrected p-values count all pairs (closed tests; Holm beyond 6 systems or 60 groups) and all dimensions (Holm). The
    tests are exact, for any number of groups and any distribution, where the systems cannot be told apart.

    Args:
        table: a scored table or its path.
        system: what tells systems apart: ``stem`` (the file's name), ``parent`` (its folder) or a column.
        group_by: what the clips of a group share: ``stem``, ``parent`` or a column. Default: the table's column
            ``group``; if folders are systems, the file's name.
        columns: the scores to compare. Default: ``reward`` and the main dimensions of the raters.
        lower: columns of which a lower value is better, besides those that a rater declares.
        by: a column with categories, for means by category (*optional*).
        level: of the intervals, between 0 and 1.
        draws: number of random exchanges where there are too many to try all.
        seed: of the draws.

    Raises:
        ArgumentError: for a wrong argument, one system, and systems that share no group.

    Example:
        >>> found = compare_systems("scores.parquet", "seed", group_by="prompt", columns=["signals.overall"])
        >>> len(found.systems), found.groups
        (4, 24)
    """
    read = table if isinstance(table, ScoredTable) else read_table(table)
    if not 0 < level < 1:
        raise ArgumentError("level", "a number between 0 and 1", level, "pass 0.95, for example")
    if draws < 99:
        raise ArgumentError("draws", "an integer of at least 99", draws, "leave it out for the default")
    names, downward, remarks = chosen_columns(read, columns, lower, used={system, group_by, by})
    rows = system_rows(read, system, group_by, names, by)
    if columns is None:
        equal = tuple(name for name in names if _equal_for_all(rows, name))
        names = tuple(name for name in names if name not in equal) or names
        remarks += [f"{name} is equal for all systems and left out." for name in equal if name not in names]
    comparisons = len(names) * len(rows.systems) * (len(rows.systems) - 1) // 2
    settings = Settings(level, max(draws, round(2 * comparisons / (1 - level))), seed)  # so that p-values can be small
    measured = [of_dimension(rows, name, name in downward, len(names), settings) for name in names]
    differences = corrected_over_dimensions([pairs for _, pairs in measured])
    scores = [one for found, _ in measured for one in found]
    sign = -1 if names[0] in downward else 1
    order = sorted(scores[: len(rows.systems)], key=lambda one: -sign * np.nan_to_num(one.mean, nan=-sign * np.inf))
    found = SystemComparison(
        tuple(one.system for one in order),
        names,
        downward,
        len(rows.groups),
        rows.rule,
        level,
        tuple(scores),
        tuple(_better_first(one, one.dimension in downward) for one in differences),
        () if by is None else tuple(_categories(rows, names)),
        rows.left_out,
        (),
        rows,
    )
    return replace(found, notes=(*remarks, *notes_of(found)))


def _equal_for_all(rows: SystemRows, column: str) -> bool:
    """Return whether no two systems differ in any group: such a score shows nothing, and need not be corrected for."""
    cells = rows.cells(column)
    gap = np.where(np.isnan(cells), -np.inf, cells).max(axis=1) - np.where(np.isnan(cells), np.inf, cells).min(axis=1)
    return bool((gap[np.isfinite(gap)] <= 1e-9 * np.nanmax(np.abs(cells), initial=1.0)).all())


def reverse(one: SystemDifference) -> SystemDifference:
    """Return the same difference with the systems exchanged."""
    return replace(
        one,
        first=one.second,
        second=one.first,
        difference=-one.difference,
        low=-one.high,
        high=-one.low,
        wins=1 - one.wins,
    )


def _better_first(one: SystemDifference, lower: bool) -> SystemDifference:
    return reverse(one) if (one.difference > 0) == lower and one.difference != 0 else one


def _categories(rows: SystemRows, names: Sequence[str]) -> list[CategoryScore]:
    assert rows.categories is not None
    of_row = np.array(rows.categories)
    found = []
    for category in dict.fromkeys(rows.categories):
        for name in names:
            inside = of_row == category
            cells, scored = rows.cells(name, inside), inside & np.isfinite(rows.values[name])
            for i, system in enumerate(rows.systems):
                mine = cells[np.isfinite(cells[:, i]), i]
                clips = int((scored & (rows.system == i)).sum())
                mean = float(mine.mean()) if len(mine) else float("nan")
                found.append(CategoryScore(category, name, system, mean, clips, len(mine)))
    return found
