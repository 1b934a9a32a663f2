"""`avreward score`: a table with a row a clip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import (
    INTERRUPTED,
    NOTHING,
    SOME_FAILED,
    Complaints,
    RaterNames,
    complain,
    progress,
    raters_of,
    reward_of,
    stderr,
    writable,
    wrong_reward,
)
from avreward.cli._inputs import (
    GroupRule,
    Isolate,
    PromptsFile,
    TableOrClips,
    decode_apart,
    keep_inputs,
    listed,
    read_scored,
)
from avreward.cli._store import NoStore, RetryMissing, StorePath, check_store, default_store, store_of

if TYPE_CHECKING:
    from avreward.scoring._score_table import TableRun
    from avreward.scoring._shares import Share
    from avreward.scoring.table_reader import ScoredTable


def score(
    clips: TableOrClips,
    out: Annotated[Path, typer.Option(help="The table: .parquet, .jsonl or .csv.", show_default=False)],
    reward: Annotated[
        str | None,
        typer.Option(
            help='Also a column with this reward: an expression, such as "overall - signals.clipping", or the YAML '
            "file or folder of a reward."
        ),
    ] = None,
    rater: RaterNames = None,
    prompts: PromptsFile = None,
    group_by: GroupRule = None,
    store: StorePath = None,
    no_store: NoStore = False,
    retry_missing: RetryMissing = False,
    isolate: Isolate = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|ADDRESS",
            help="Score with Ray actors: local starts Ray on this machine, ADDRESS is a cluster. Needs the extra ray.",
            show_default=False,
        ),
    ] = None,
    actors: Annotated[int | None, typer.Option(min=1, help="With --ray: how many.", show_default=False)] = None,
    gpus: Annotated[float, typer.Option(min=0, help="With --ray: GPUs of each actor, or a fraction of one.")] = 0,
) -> None:
    """Score many clips and write a table, one row a clip, while the run goes on.

    Groups are formed by `--group-by`; without it by the manifest's column group, by the prompt where there are prompts,
    or by the folder.

    A scored table with `--reward` and without `--rater` is re-weighted: its scores stay, and nothing is rated.

    Under `torchrun` each process scores its own clips into a table of its own (`scores.rank0-of-2.parquet`); commands
    that are given `scores.parquet` read them as one.

    A file that can't be scored is a row with its reason. On Ctrl-C the rows so far are kept, as a table of their
    own beside the one asked for (`scores.partial.parquet`). Scores are also kept in the store that all commands
    share: the same command goes on where a run was interrupted or killed.
    """
    from avreward.scoring._score_table import TableRun, score_table
    from avreward.scoring.table_writer import ENDINGS

    share = _share()
    writable(share.table(out), "--out", ENDINGS)
    keep_inputs(out, [*clips, prompts])
    check_store(store, no_store)
    if share.whole and reward is not None and not rater and (table := read_scored(clips)) is not None:
        _reweigh(table, reward, out, group_by)
        return
    if ray is not None:
        from avreward.cli.scale._ray import score_by_ray

        if not share.whole:
            raise typer.BadParameter("Ray shares out the clips; leave it out under torchrun", param_hint="--ray")
        rule = group_by or ("prompt" if prompts is not None else None)
        kept_in = None if no_store else store or default_store()
        given = score_by_ray(clips, prompts, out, reward, rater, ray, actors, gpus, rule, kept_in, retry_missing)
        _end(given, out, kept_in)
        return
    asked_for = raters_of(rater or (["signals"] if reward is None else None))
    chosen = None if reward is None else reward_of(reward, asked_for)
    judges = {judge.name: judge for judge in [*asked_for.values(), *(chosen.raters if chosen else ())]}
    found = listed(clips, prompts)
    decode_apart(found, isolate)
    rule = group_by or ("prompt" if prompts is not None else None)
    kept = store_of(store, no_store, judges.values())
    run, tell = TableRun(), Complaints()
    try:
        with progress("Scoring", len(share.of(found))) as step:
            score_table(
                found,
                out,
                list(judges.values()),
                chosen,
                group_by=rule,
                store=kept,
                retry_missing=retry_missing,
                isolate=False,
                share=share,
                step=step,
                tell=tell,
                run=run,
            )
    except KeyboardInterrupt as interrupt:
        complain(f"interrupted: the {run.rows} rows so far are in {run.path}" if run.rows else "interrupted")
        raise typer.Exit(INTERRUPTED) from interrupt
    where = share.table(out)
    tell.end(f"; the column reasons of {where} has them all")
    _end(run, where, None if kept is None else kept.path, alone=share.whole)


def _end(run: TableRun, where: Path, store: Path | None, alone: bool = True) -> None:
    """Print the counts, and exit with the code for them."""
    origin = f" ({run.known} known from {store})" if store is not None and run.known else ""
    summary = f"{run.rows - run.failed} of {run.rows} clips scored{origin}, in {where}"
    stderr().print(summary, markup=False, soft_wrap=True)
    if run.failed and (alone or run.failed == run.rows):  # else torchrun would end the other processes
        raise typer.Exit(NOTHING if run.failed == run.rows else SOME_FAILED)


def _share() -> Share:
    """Return the share of this process, and let its raters load on the GPU that torchrun means for it."""
    from avreward.scoring._shares import Share

    share = Share.of_process()
    if not share.whole:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or 0) % torch.cuda.device_count())
    return share


def _reweigh(table: ScoredTable, reward: str, out: Path, group_by: str | None) -> None:
    if group_by is not None:
        problem = f"{table.path} keeps its groups; give --group-by to rank, curve or pairs"
        raise typer.BadParameter(problem, param_hint="--group-by")
    import numpy as np

    with wrong_reward(reward):
        found = table.with_reward(reward)
    there = int(np.isfinite(found.numbers("reward")).sum())
    found.save(out)
    summary = f"{there} of {len(found)} clips have the reward {found.metadata['reward']}, in {out}; nothing was rated"
    stderr().print(summary, markup=False, soft_wrap=True)
    if there < len(found):
        raise typer.Exit(SOME_FAILED if there else NOTHING)
