"""`avreward score`: a table with a row a clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import (
    INTERRUPTED,
    NOTHING,
    SOME_FAILED,
    RaterNames,
    complain,
    progress,
    raters_of,
    reward_of,
    stderr,
    writable,
)
from avreward.cli._inputs import GroupRule, Inputs, PromptsFile, listed
from avreward.cli._store import NoStore, RetryMissing, StorePath, store_of

if TYPE_CHECKING:
    from os import PathLike

    from avreward.clip import Clip
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.run import Scored
    from avreward.scoring.store.store import Store


def score(
    clips: Inputs,
    out: Annotated[Path, typer.Option(help="The table: .parquet or .jsonl.", show_default=False)],
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
) -> None:
    """Score many clips and write a table, one row a clip, while the run goes on.

    Groups are formed by `--group-by`; without it by the manifest's column group, by the prompt where there are prompts,
    or by the folder.

    A file that can't be scored is a row with its reason. On Ctrl-C the rows so far are kept, as a table of their
    own beside the one asked for (`scores.partial.parquet`). Scores are also kept in a store beside the table
    (`scores.parquet.store`): the same command goes on where a run was interrupted or killed.
    """
    from avreward.scoring.inputs import check_rule
    from avreward.scoring.table_writer import ENDINGS, TableWriter

    writable(out, "--out", ENDINGS)
    asked_for = raters_of(rater or (["signals"] if reward is None else None))
    chosen = None if reward is None else reward_of(reward, asked_for)
    judges = {judge.name: judge for judge in [*asked_for.values(), *(chosen.raters if chosen else ())]}
    found = listed(clips, prompts)
    formed = group_by or _default_rule(found, prompts)
    check_rule(found, formed)

    from avreward.raters._environment import environment
    from avreward.scoring.run import score_files

    target = chosen or next(iter(judges.values()))
    fingerprint = chosen.fingerprint if chosen else "+".join(judge.fingerprint for judge in judges.values())
    columns = [f"{judge.name}.{dimension.name}" for judge in judges.values() for dimension in judge.dimensions]
    metadata = {
        "group_by": formed,
        "reward": None if chosen is None else repr(chosen),
        "raters": {name: judge.fingerprint for name, judge in judges.items()},
        "environment": environment(library for judge in judges.values() for library in judge.libraries),
    }
    failed = known = 0
    kept = store_of(store, no_store, out, judges.values())
    table = TableWriter(out, columns, metadata)
    try:
        opened = _opened(found, kept)
        rows = score_files(opened, target, also=list(judges.values()), store=kept, retry_missing=retry_missing)
        with nullcontext() if kept is None else kept, table, progress("Scoring", len(found)) as step, closing(rows):
            for clip, scored in zip(found, rows, strict=True):
                path = clip.path
                step(path.name)
                known += scored.known
                problem = scored.error or (scored.rewards.reasons[0] if scored.rewards else None)
                problem = problem or _nothing(scored)
                if problem:
                    failed += 1
                    complain(problem if problem.startswith(str(path)) else f"{path}: {problem}")
                table.add(clip=str(path), fingerprint=fingerprint, **_row(scored, clip, formed))
    except KeyboardInterrupt as interrupt:
        complain(f"interrupted: the {table.rows} rows so far are in {table.kept}" if table.rows else "interrupted")
        raise typer.Exit(INTERRUPTED) from interrupt
    origin = f" ({known} known from {kept.path})" if kept is not None and known else ""
    summary = f"{table.rows - failed} of {table.rows} clips scored{origin}, in {out}"
    stderr().print(summary, markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(NOTHING if failed == len(found) else SOME_FAILED)


def _default_rule(clips: Sequence[ListedClip], prompts: Path | None) -> str:
    if any("group" in clip.columns for clip in clips):
        return "group"
    return "prompt" if prompts is not None or any(clip.prompt for clip in clips) else "parent"


def _opened(clips: Sequence[ListedClip], store: Store | None) -> Iterator[str | PathLike[str] | Clip]:
    """Paths, or clips where a prompt is known."""
    from avreward.clip import Clip
    from avreward.errors import MediaError

    opened = Clip.open if store is None else store.open
    for clip in clips:
        try:
            yield clip.path if clip.prompt is None else opened(clip.path, prompt=clip.prompt)
        except MediaError:
            yield clip.path  # so that it fails in its turn


def _nothing(scored: Scored) -> str | None:
    """Why no rater could give this clip a single score; nothing if one could."""
    if any(bool(scores.present.any()) for scores in scored.scores.values()):
        return None
    reasons = dict.fromkeys(why for scores in scored.scores.values() for why in scores.reasons[0].values())
    return "no score at all: " + "; ".join(reasons)


def _row(scored: Scored, listed: ListedClip, formed: str) -> dict[str, Any]:
    from avreward.errors import MediaError
    from avreward.raters.scores import as_row
    from avreward.scoring.inputs import group_of
    from avreward.scoring.table_writer import covariates

    row: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for rater, scores in scored.scores.items():
        row |= {f"{rater}.{name}": value for name, value in as_row(scores, 0).items()}
        reasons |= {f"{rater}.{name}": why for name, why in scores.reasons[0].items()}
        for covariate in ("loudness", "motion"):  # of the rater that measures it
            if f"{rater}.{covariate}" in row:
                row[covariate] = row[f"{rater}.{covariate}"]
    if scored.error is not None:
        reasons = {"clip": scored.error}
    if scored.rewards is not None:
        row["reward"] = float(scored.rewards.values[0])
        row["sigma"] = None if scored.rewards.sigma is None else float(scored.rewards.sigma[0])
    if scored.clip is not None:
        try:
            row |= covariates(scored.clip) | {"group": group_of(listed, formed, scored.clip)}
        except MediaError as error:
            reasons["clip"] = str(error)
    return row | {"reasons": reasons}
