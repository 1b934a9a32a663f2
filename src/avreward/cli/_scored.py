"""A scored table from the arguments of a command: read, or made of clips that are scored on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from avreward._display import counted
from avreward.cli._common import LISTED, complain, progress, raters_of, reward_of, shown, wrong_reward
from avreward.cli._inputs import decode_apart, listed, read_scored
from avreward.cli._store import store_of

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.rewards.base import Reward
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.table_reader import ScoredTable


def table_of(
    inputs: Sequence[Path],
    reward: str | None,
    rater: Sequence[str] | None = None,
    prompts: Path | None = None,
    group_by: str | None = None,
    isolate: bool | None = None,
) -> tuple[ScoredTable, str | None, str | None]:
    """Return a scored table, the column of its reward, and by what it is grouped; clips are scored first.

    What is in the shared store is not scored again. With a table, a column and `group_by` come back as they are, and a
    wrong expression is a usage error. Until the command ends, files are decoded as `isolate` says (`decode_apart`).
    """
    if not rater and (table := read_scored(inputs, own=True)) is not None:
        from avreward.selection.candidates import with_computed

        decode_apart(table, isolate)
        with wrong_reward(reward):
            return *with_computed(table, reward), group_by
    raters = raters_of(list(rater) if rater else None)
    clips = listed(inputs, prompts)
    decode_apart(clips, isolate)
    return _scored(inputs, raters, reward_of(reward, raters), clips, group_by, complain), None, None


def table_to_compare(
    inputs: Sequence[Path],
    rater: list[str] | None = None,
    reward: str | None = None,
    prompts: Path | None = None,
    group_by: str | None = None,
    items: Path | None = None,
    isolate: bool | None = None,
) -> tuple[ScoredTable, bool]:
    """Return the scored table that `inputs` is, or that of the clips that it names, and whether these were scored.

    A single file that ends like a table is one if it has scores; else it is a manifest. The options of scoring are
    usage errors for a table, and clips get no reward unless one is asked for.
    """
    if (table := read_scored(inputs, own=True)) is not None:
        for value, option in ((rater, "--rater"), (reward, "--reward"), (prompts, "--prompts"), (items, "--items")):
            if value:
                problem = f"{shown(inputs[0])} is scored already; leave the option out, or give the clips"
                raise typer.BadParameter(problem, param_hint=option)
        decode_apart(table, isolate)
        return table, False
    raters = raters_of(rater or (["signals"] if reward is None else None))
    chosen = None if reward is None else reward_of(reward, raters)
    clips = listed(inputs, prompts) if items is None else _answers(inputs, items, prompts)
    decode_apart(clips, isolate)
    return _scored(inputs, raters, chosen, clips, group_by), True


def table_of_clips(
    source: Path, raters: Mapping[str, Rater], clips: Sequence[ListedClip], isolate: bool | None
) -> ScoredTable:
    """Return the table of clips that `source` lists, scored with the store that all commands share."""
    decode_apart(clips, isolate)
    return _scored([source], raters, None, clips, None, complain)


def _answers(inputs: Sequence[Path], items: Path, prompts: Path | None) -> list[ListedClip]:
    """Return the clips that answer AVBench's items; say how many do not, and how many items have none."""
    from avreward.datasets import avbench_clips, read_avbench

    if prompts is not None:
        raise typer.BadParameter("the items have prompts of their own; leave it out", param_hint="--prompts")
    asked = read_avbench(items)
    found = avbench_clips(asked, list(inputs))
    told = {clip.columns["id"] for clip in found}
    if len(told) < len(asked):
        complain(f"{shown(items)}: no clip answers {len(asked) - len(told)} of {counted(len(asked), 'item')}")
    return found


def _scored(
    inputs: Sequence[Path],
    raters: Mapping[str, Rater],
    reward: Reward | None,
    clips: Sequence[ListedClip],
    group_by: str | None,
    tell: Callable[[str], None] = lambda problem: None,
) -> ScoredTable:
    """Return the table of clips, scored with the store that all commands share."""
    from avreward.errors import AvrewardError
    from avreward.scoring._score_table import score_table
    from avreward.scoring.table_reader import read_table

    judges = list({judge.name: judge for judge in [*raters.values(), *(reward.raters if reward else ())]}.values())
    kept, problems = store_of(None, False, judges), list[str]()
    with TemporaryDirectory() as folder, progress("Scoring", len(clips)) as step:
        out = Path(folder) / "scores.parquet"
        run = score_table(
            clips, out, judges, reward, group_by=group_by, store=kept, isolate=False, step=step, tell=problems.append
        )
        if run.failed == run.rows:
            raise AvrewardError(
                f"none of {counted(run.rows, 'clip')} could be scored ({problems[0]}); give some that can"
            )
        for problem in problems[:LISTED]:
            tell(problem)
        if len(problems) > LISTED:
            tell(f"{len(problems) - LISTED} more clips could not be scored")
        return replace(read_table(out), path=inputs[0] if len(inputs) == 1 else Path(f"{len(clips)} clips"))
