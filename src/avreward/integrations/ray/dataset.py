"""Score a data set on a Ray cluster, or on this machine, into a table."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward._extras import extra
from avreward._parsing import parsed_json
from avreward.errors import RATER_FAILED, ArgumentError, AvrewardError
from avreward.integrations.ray._actor import ROW, Loaded, ScoreClips, renamed
from avreward.integrations.ray._actors import RayActors
from avreward.integrations.ray._cluster import LOCAL, connected
from avreward.integrations.ray._rows import row_from, row_of_sample, shards_in
from avreward.rewards._as_reward import RewardLike
from avreward.scoring._grouping import group_in, names_column
from avreward.scoring._score_table import TableRun, check_seeds, other_columns, other_values, rule_of
from avreward.scoring._shares import check_free, part_of
from avreward.scoring.inputs import ListedClip, list_clips
from avreward.scoring.table_reader import read_table
from avreward.scoring.table_writer import TableWriter

with extra("ray"):
    import ray
    import ray.data
    from ray.data import DataContext

if TYPE_CHECKING:
    from ray.data import Dataset

ROWS_A_PART = 50_000
BLOCKS = 4096  # that a list of clips is divided into at most
DOUBTED = 64  # rows after which a rater that has only failed ends the run


def score_dataset(
    clips: Dataset | Sequence[ListedClip] | Sequence[str | PathLike[str]] | str | PathLike[str],
    out: str | PathLike[str],
    reward: RewardLike | Callable[[], Loaded],
    *,
    actors: RayActors | None = None,
    address: str = LOCAL,
    group_by: str | None = None,
    store: str | PathLike[str] | None = None,
    retry_missing: bool = False,
    rows_a_part: int = ROWS_A_PART,
    step: Callable[[str], None] = lambda name: None,
    tell: Callable[[str], None] = lambda problem: None,
    run: TableRun | None = None,
) -> TableRun:
    """Score clips by Ray actors and write a scored table, in the order of the clips.

    Where an actor or its machine is lost, Ray starts another one, and its batch is rated again: no row is lost or
    written twice. With a `store`, what was rated is read from there. A list of more than `rows_a_part` clips becomes
    several tables (``scores.part0-of-4.parquet``, …), which `read_table("scores.parquet")` reads as one; a run that was
    stopped goes on with the parts that are missing. Actors rate only as fast as rows are written: memory is bounded.

    Args:
        clips: what `list_clips` takes; WebDataset shards (``.tar``; the prompt is in ``.txt``, or in ``.json`` under
            ``prompt``); or a `ray.data.Dataset` with a column of paths (``clip``, ``path``, …) or ``bytes``, and
            ``prompt``. Paths must be valid on every machine.
        out: the table: ``.parquet``, ``.jsonl`` or ``.csv``.
        reward: an expression, the file of a reward, or a function of a module that loads (reward, more raters); it is
            called in each actor.
        actors: how many, and what each takes (*optional*).
        address: of the cluster; ``"local"`` starts Ray on this machine, for itself alone and without a dashboard. A Ray
            that runs in this process already is used as it is.
        group_by: see `score_table`.
        store: a folder that all machines can write to (*optional*).
        retry_missing: see `score_files`.
        rows_a_part: rows of one part.
        step: see `score_table`.
        tell: see `score_table`.
        run: see `score_table`.

    Returns:
        The counts.

    Raises:
        ArgumentError: for a wrong argument.
        AvrewardError: if the table can't be written, or a rater fails on each of the first clips.

    Example:
        >>> run = score_dataset("clips.csv", "scores.parquet", "audio_quality", store="store")  # doctest: +SKIP
        >>> print(f"{run.rows - run.failed} of {run.rows} clips have a reward")  # doctest: +SKIP
    """
    if rows_a_part < 1:
        raise ArgumentError("rows_a_part", "a positive integer", rows_a_part)
    out, run, actors = Path(out), run or TableRun(), actors or RayActors()
    shared = None if store is None else os.path.abspath(store)
    with _prepared(address):
        listed, source = _source(clips)
        formed = group_by or (rule_of(listed) if listed is not None else "parent")
        column = names_column(listed, formed) if listed is not None else False
        check_seeds(listed or ())
        options = {"store": shared, "group_by": formed, "column": column, "retry_missing": retry_missing}
        about = ray.get(ray.remote(_about).options(num_cpus=actors.cpus, num_gpus=actors.gpus).remote(reward, options))
        others = other_columns(listed, about["columns"]) if listed is not None else {}
        table = _Parts(about, others, (formed, column), run, step, tell)
        if listed is None:
            with closing(_rated(source, reward, options, actors)) as rows:
                table.write(out, None, rows)
            return run
        count = max(1, math.ceil(len(listed) / rows_a_part))
        if count > 1:
            check_free(out)
        parts = [(part_of(out, i, count), listed[i * rows_a_part : (i + 1) * rows_a_part]) for i in range(count)]
        todo = [(path, own) for path, own in parts if count == 1 or not table.done(path, own)]
        rest = [clip for _, own in todo for clip in own]
        if rest:
            actors = replace(actors, batch=actors.taking(len(rest)))
            blocks = min(BLOCKS, math.ceil(len(rest) / actors.taking()))
            source = ray.data.from_items([row_from(one) for one in rest], override_num_blocks=blocks)
            with closing(_rated(source, reward, options, actors)) as rows:
                for path, own in todo:
                    table.write(path, own, rows)
    return run


class _Parts:
    """Write rows into tables, and count them."""

    def __init__(
        self, about: dict[str, Any], others: dict[str, str], grouping: tuple[str, bool], run: TableRun,
        step: Callable[[str], None], tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.about, self.others, (self.formed, self.column) = about, others, grouping
        self.run, self.step, self.tell = run, step, tell

    def done(self, path: Path, clips: Sequence[ListedClip]) -> bool:
        """Return whether an earlier run wrote this part: the same clips, raters and reward; count it then."""
        if not path.is_file():
            return False
        try:
            table = read_table(path)
        except AvrewardError:
            return False
        same = table.column("clip").to_pylist() == [str(one.path) for one in clips]
        if not same or table.metadata != json.loads(json.dumps(self.about["metadata"])):
            return False
        self.run.rows, self.run.known = self.run.rows + len(table), self.run.known + len(table)
        self.run.failed += sum(bool(reasons) for reasons in _failures(table))
        return True

    def write(self, path: Path, clips: Sequence[ListedClip] | None, rows: Iterator[dict[str, Any]]) -> None:
        """Write the next rows into a table: those of `clips`, or all that there are."""
        run = self.run
        with TableWriter(path, self.about["columns"], self.about["metadata"], self.others) as table:
            for number, row in enumerate(rows):
                if clips is not None:
                    row = renamed(row, row["clip"], str(clips[number].path)) | self._own(clips[number])
                problem, known = row.pop("problem"), row.pop("known")
                table.add(**row, fingerprint=self.about["fingerprint"])
                run.rows, run.known = run.rows + 1, run.known + known
                self.step(Path(row["clip"]).name)
                if problem is not None:
                    run.failed += 1
                    self.tell(problem if problem.startswith(row["clip"]) else f"{row['clip']}: {problem}")
                    if run.failed == run.rows == DOUBTED and RATER_FAILED in problem:
                        raise AvrewardError(f"{row['clip']}: {problem}; it failed on each of the first {DOUBTED} clips")
                if clips is not None and number + 1 == len(clips):
                    break
            if clips is not None and table.rows < len(clips):
                raise AvrewardError(f"{path}: expected {len(clips)} rows, got {table.rows}; run it again")
        run.path = table.kept

    def _own(self, listed: ListedClip) -> dict[str, Any]:
        """Return what the list says of a clip: its path as it was given, and the columns of a manifest."""
        found = {"clip": str(listed.path), **other_values(listed, self.others)}
        if self.column or self.formed != "video":
            found["group"] = group_in(listed, self.formed, self.column)
        return found


def _failures(table: Any) -> Iterator[bool]:
    rewards = table.numbers("reward") if table.metadata.get("reward") else None
    if rewards is not None:
        yield from (value != value for value in rewards.tolist())
    else:
        scores = [table.numbers(name).tolist() for name in table.scores if "." in name]
        yield from (all(value != value for value in row) for row in zip(*scores, strict=True))


def _about(reward: Any, options: dict[str, Any]) -> dict[str, Any]:
    return ScoreClips(reward, **options | {"store": None}).about()


def _source(clips: Any) -> tuple[list[ListedClip] | None, Any]:
    """Return the clips of a list, or else a data set of rows for actors."""
    if isinstance(clips, ray.data.Dataset):
        return None, clips.map(row_of_sample)
    shards = shards_in(clips)
    if shards is not None:
        return None, ray.data.read_webdataset(shards, decoder=False).map(row_of_sample)
    if isinstance(clips, Sequence) and clips and all(isinstance(one, ListedClip) for one in clips):
        return list(clips), None
    return list_clips(clips), None


def _rated(
    source: Any, reward: Any, options: dict[str, Any], actors: RayActors
) -> Generator[dict[str, Any], None, None]:
    """Yield the rows of a data set, in order."""
    loaded = {"reward": reward, **options, "threads": actors.threads()}
    rated = source.map_batches(
        ScoreClips, fn_constructor_kwargs=loaded, compute=actors.pool(),
        batch_size=actors.taking(), num_cpus=actors.cpus, num_gpus=actors.gpus or None, batch_format="numpy",
    )  # fmt: skip
    for batch in rated.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
        for text in batch[ROW].to_pylist():
            yield parsed_json(text)


@contextmanager
def _prepared(address: str) -> Iterator[None]:
    """Connect to Ray, with its data sets in order and without its progress bars."""
    with connected(address):
        context = DataContext.get_current()
        before = context.enable_progress_bars, context.execution_options.preserve_order
        context.enable_progress_bars, context.execution_options.preserve_order = False, True
        try:
            with _quiet():
                yield
        finally:
            context.enable_progress_bars, context.execution_options.preserve_order = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep plans and statistics of Ray Data off the terminal; its log files have them."""
    consoles = [one for one in logging.getLogger("ray.data").handlers if one.get_name() == "console"]
    levels = [one.level for one in consoles]
    for one in consoles:
        one.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for one, level in zip(consoles, levels, strict=True):
            one.setLevel(level)
