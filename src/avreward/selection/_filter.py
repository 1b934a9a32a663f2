"""Keep the clips of a table that meet conditions, or the best of each group, and say why the others are dropped."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from os.path import abspath, commonpath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avreward._display import Shown, ShownAsTable, counted
from avreward._whole_files import whole_folder
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError
from avreward.scoring._grouping import table_groups
from avreward.scoring.table_reader import ScoredTable
from avreward.selection._conditions import clauses
from avreward.selection.candidates import candidates_of

MANIFEST, DROPPED = "manifest.csv", "dropped.csv"


@dataclass(frozen=True, eq=False, repr=False)
class FilteredTable(ShownAsTable):
    """The rows of a table that are kept, and why the others are not.

    Attributes:
        table: all rows.
        why: for each row, why it is dropped, or `None` where it is kept.
        undecided: for each row, whether it is dropped because a value is missing.
    """

    table: ScoredTable
    why: Sequence[str | None]
    undecided: NDArray[np.bool_]

    @property
    def kept(self) -> ScoredTable:
        """The rows that are kept."""
        return replace(self.table, rows=self.table.rows.take(self._rows(kept=True)))

    @property
    def dropped(self) -> ScoredTable:
        """The other rows, with the column ``dropped``: why."""
        import pyarrow

        rows = self.table.rows.take(self._rows(kept=False))
        reasons = pyarrow.array([why for why in self.why if why is not None], pyarrow.string())
        if "dropped" in rows.column_names:
            rows = rows.drop_columns(["dropped"])
        return replace(self.table, rows=rows.append_column("dropped", reasons))

    @property
    def reasons(self) -> Mapping[str, int]:
        """Reason → how many rows are dropped for it, the most common first."""
        return dict(Counter(why for why in self.why if why is not None).most_common())

    def save(self, path: str | PathLike[str]) -> Path:
        """Write what is kept, and beside it what is dropped and why.

        Args:
            path: a table (``.csv``, ``.parquet``, ``.jsonl``), which is also a manifest; the dropped rows go to
                ``NAME.dropped.ENDING``. Or a folder, new or empty: the kept clips are copied into it, with
                ``manifest.csv`` and ``dropped.csv``.

        Returns:
            The path of the table or of the folder.

        Raises:
            AvrewardError: if nothing is kept, a file can't be copied, or the folder is not empty.
        """
        path = Path(path)
        if not len(self.kept):
            reasons = "; ".join(f"{count} × {why}" for why, count in list(self.reasons.items())[:3])
            raise AvrewardError(
                f"{path}: nothing is kept of {len(self.table)} clips ({reasons}); loosen the conditions"
            )
        if path.suffix.lower() in (".csv", ".parquet", ".jsonl"):
            self.kept.save(path)
            self._save_dropped(path.with_name(f"{path.stem}.dropped{path.suffix}"))
            return path
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            got = Described(f"{path}, which is not empty")
            raise ArgumentError("out", "a new or empty folder, or a name that ends in .csv", got)
        try:
            with whole_folder(path) as part:
                _copied(self.kept, part).save(part / MANIFEST)
                self._save_dropped(part / DROPPED)
        except OSError as error:
            raise AvrewardError(
                f"{path}: can't be written ({error.strerror or error}); choose another place"
            ) from error
        return path

    def _save_dropped(self, path: Path) -> None:
        if len(self.dropped):
            self.dropped.save(path)
        else:  # of an earlier run
            path.unlink(missing_ok=True)

    def _rows(self, kept: bool) -> NDArray[np.int64]:
        return np.flatnonzero([(why is None) == kept for why in self.why])

    def _shown(self) -> Shown:
        title = f"{self.table.path}: {len(self.kept)} of {counted(len(self.table), 'clip')} kept"
        return title, ["dropped", "why"], ((count, why) for why, count in self.reasons.items()), len(self.reasons)


def filter_table(
    table: ScoredTable,
    keep: str | Sequence[str] = (),
    *,
    top: str | int | None = None,
    per: str | None = None,
    reward: str | None = None,
) -> FilteredTable:
    """Keep the rows that meet all conditions and, of these, the best.

    A row that lacks a value that decides is dropped with that reason.

    Args:
        table: see `read_table`.
        keep: a condition or several, such as ``"overall > 60 and signals.clipping < 0.1"``; write texts in
            quotes: ``"system == 'wan'"``.
        top: how many of the best to keep, of each group: a number, or a share such as ``"20%"`` (rounded down, at least
            one) of those that meet the conditions (*optional*, all).
        per: what a group shares; see `candidates_of` (*optional*, all rows are one group).
        reward: what makes a row better: a column or an expression (*optional*, the column ``reward``).

    Raises:
        ArgumentError: if a condition, `top` or `per` is wrong, or nothing is asked for.
        AvrewardError: if a column does not exist.

    Example:
        >>> from avreward.scoring import read_table
        >>> found = filter_table(read_table("scores.parquet"), "audio_quality > 20", top="50%", per="prompt")
        >>> len(found.kept) + len(found.dropped) == len(found.table)
        True
    """
    conditions = [keep] if isinstance(keep, str) else list(keep)
    if not conditions and top is None:
        raise ArgumentError("keep", "a condition, or the share of the best to keep (top)", Described("neither"))
    if top is None and per is not None:
        raise ArgumentError("per", "no groups without top", per, "say how many to keep of each group with top")
    why: list[str | None] = [None] * len(table)
    undecided = np.zeros(len(table), dtype=bool)
    for clause in (clause for text in conditions for clause in clauses(table, text)):
        for row in np.flatnonzero(~clause.holds):
            if why[row] is None:
                why[row] = f"no value for {clause.text}" if clause.unknown[row] else f"not {clause.text}"
                undecided[row] = clause.unknown[row]
    if top is not None:
        _keep_best(table, why, undecided, _top_of(top), per, reward)
    return FilteredTable(table, why, undecided)


def _keep_best(
    table: ScoredTable,
    why: list[str | None],
    undecided: NDArray[np.bool_],
    top: _Top,
    per: str | None,
    reward: str | None,
) -> None:
    """Fill in why a row that meets the conditions is not among the best of its group."""
    pool = candidates_of(table, reward, per) if per is not None else None
    values = candidates_of(table, reward, "clip").values if pool is None else pool.values
    group = np.zeros(len(table), dtype=np.int64) if pool is None else table_groups(table, per).codes
    comparable = np.ones(len(table), dtype=bool) if pool is None else pool.group >= 0
    members: dict[int, list[int]] = {}
    for row in (row for row in range(len(table)) if why[row] is None):
        if np.isnan(values[row]):
            why[row], undecided[row] = "no reward", True
        elif group[row] < 0:
            why[row], undecided[row] = f"no group: nothing under {per}", True
        elif not comparable[row]:
            why[row], undecided[row] = "its tracks or its rater's settings differ from those of its group", True
        else:
            members.setdefault(int(group[row]), []).append(row)
    for rows in members.values():
        for row in sorted(rows, key=lambda row: -values[row])[top.count(len(rows)) :]:
            why[row] = f"not in the top {top.text}" + (f" of its group by {per}" if per is not None else "")


@dataclass(frozen=True)
class _Top:
    """How many rows are kept: `number` of them, in percent of those there are if `percent` is set."""

    text: str
    number: float
    percent: bool

    def count(self, rows: int) -> int:
        """Return how many of `rows` are kept, at least one."""
        return max(1, int(self.number * rows / 100 + 1e-9)) if self.percent else int(self.number)


def _top_of(top: str | int) -> _Top:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", str(top))
    found = _Top(str(top), float(match[1]), bool(match[2])) if match else None
    if found is None or not found.number or (found.number > 100 if found.percent else found.number % 1):
        raise ArgumentError("top", "a number of clips, or a share such as 20%", top)
    return found


def _copied(table: ScoredTable, folder: Path) -> ScoredTable:
    """Copy the clips of a table into a folder, under their paths below what all share; return it with the new paths."""
    import pyarrow

    clips = [Path(abspath(clip)) for clip in table.column("clip").to_pylist()]
    root = Path(commonpath({str(clip.parent) for clip in clips}))
    targets = [clip.relative_to(root) for clip in clips]
    for clip, target in zip(clips, targets, strict=True):
        try:
            Clip.open(clip)  # a table may name any file: only media are copied
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip, folder / target)
        except (OSError, MediaError) as error:
            why = error.problem if isinstance(error, MediaError) else error.strerror or error
            raise AvrewardError(
                f"{clip}: can't be copied ({why}); check it, or write a table: --out kept.csv"
            ) from error
    names = pyarrow.array([target.as_posix() for target in targets], pyarrow.string())
    return replace(table, rows=table.rows.set_column(table.rows.column_names.index("clip"), "clip", names))
