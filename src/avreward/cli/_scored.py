"""A scored table from the arguments of a command: read, or made of clips that are scored on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from avreward._display import counted
from avreward.cli._common import progress, raters_of, reward_of, shown
from avreward.cli._inputs import listed
from avreward.cli._store import store_of

if TYPE_CHECKING:
    from avreward.scoring.table_reader import ScoredTable


def scored_table(
    inputs: Sequence[Path],
    rater: list[str] | None = None,
    reward: str | None = None,
    prompts: Path | None = None,
    group_by: str | None = None,
) -> tuple[ScoredTable, bool]:
    """Return the scored table that `inputs` is, or that of the clips that it names, and whether these were scored.

    A single file that ends like a table is one if it has scores; else it is a manifest. Clips are scored with the store
    that all commands share, so that nothing is scored twice. The options of scoring are usage errors for a table.
    """
    from avreward.scoring.table_writer import ENDINGS

    if len(inputs) == 1 and inputs[0].suffix.lower() in ENDINGS:
        table = _read(inputs[0])
        if table is not None:
            for value, option in ((rater, "--rater"), (reward, "--reward"), (prompts, "--prompts")):
                if value:
                    problem = f"{shown(inputs[0])} is scored already; leave the option out, or give the clips"
                    raise typer.BadParameter(problem, param_hint=option)
            return table, False
    return _scored(inputs, rater, reward, prompts, group_by), True


def _read(path: Path) -> ScoredTable | None:
    """Return the table in a file; `None` for a manifest, which has no scores and names its clips under any heading."""
    from avreward.errors import AvrewardError
    from avreward.scoring.inputs import list_clips
    from avreward.scoring.table_reader import read_table

    try:
        table = read_table(path)
    except AvrewardError:
        if not path.is_file():
            raise
        try:
            list_clips(path)
        except AvrewardError:
            pass
        else:
            return None
        raise
    return table if table.metadata or table.scores or table.has("reward") else None


def _scored(
    inputs: Sequence[Path], rater: list[str] | None, reward: str | None, prompts: Path | None, group_by: str | None
) -> ScoredTable:
    from avreward.errors import AvrewardError
    from avreward.scoring._score_table import score_table
    from avreward.scoring.table_reader import read_table

    asked = raters_of(rater or (["signals"] if reward is None else None))
    chosen = None if reward is None else reward_of(reward, asked)
    judges = {judge.name: judge for judge in [*asked.values(), *(chosen.raters if chosen else ())]}
    clips = listed(inputs, prompts)
    kept, problems = store_of(None, False, judges.values()), list[str]()
    with TemporaryDirectory() as folder, progress("Scoring", len(clips)) as step:
        out = Path(folder) / "scores.parquet"
        tell = problems.append
        run = score_table(
            clips, out, list(judges.values()), chosen, group_by=group_by, store=kept, step=step, tell=tell
        )
        if run.failed == run.rows:
            raise AvrewardError(
                f"none of {counted(run.rows, 'clip')} could be scored ({problems[0]}); give some that can"
            )
        return replace(read_table(out), path=inputs[0] if len(inputs) == 1 else Path(f"{len(clips)} clips"))
