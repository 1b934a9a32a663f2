"""`avreward filter`: the clips that meet conditions, or the best of each group, as a manifest or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import SOME_FAILED, RaterNames, print_json_text, stdout, writable
from avreward.cli._inputs import Isolate, PromptsFile, TableOrClips, keep_inputs
from avreward.cli._scored import table_of
from avreward.cli.curve import RewardColumn

if TYPE_CHECKING:
    from avreward.selection import FilteredTable


def filter(
    inputs: TableOrClips,
    out: Annotated[
        Path,
        typer.Option(
            help="A table, which is also a manifest (.csv, .parquet, .jsonl), or a folder for copies of the clips.",
            show_default=False,
        ),
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help='What a clip must meet, such as "overall > 60 and signals.clipping < 0.1" or "system == \'wan\'". '
            "Repeatable; all must hold.",
        ),
    ] = None,
    top: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="Of the clips that meet the conditions, keep the best by --reward."),
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(metavar="group|parent|prompt|video|stem|COLUMN", help="With --top: the best of each such group."),
    ] = None,
    reward: RewardColumn = None,
    rater: RaterNames = None,
    prompts: PromptsFile = None,
    isolate: Isolate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Keep the clips that meet conditions, and of these the best, and say why the others are dropped.

    Dropped clips are listed with the reason in `NAME.dropped.csv` beside the table, or in `dropped.csv` in the folder.
    A clip that lacks a value which decides is dropped, and the exit code is 1.
    """
    from avreward.scoring.table_writer import ENDINGS
    from avreward.selection._filter import filter_table

    if out.suffix:
        writable(out, "--out", ENDINGS)
        for path in (out, out.with_name(f"{out.stem}.dropped{out.suffix}")):
            keep_inputs(path, [*inputs, prompts])
    table, column, _ = table_of(inputs, reward, rater, prompts, isolate=isolate)
    found = filter_table(table, keep or (), top=top, per=per, reward=column)
    written = found.save(out)
    _print_json(found, written) if as_json else _print(found, written)
    if found.undecided.any():
        raise typer.Exit(SOME_FAILED)


def _print(found: FilteredTable, written: Path) -> None:
    out = stdout()
    out.print(f"{len(found.kept)} of {len(found.table)} clips kept, in {written}", markup=False, soft_wrap=True)
    for why, count in found.reasons.items():
        out.print(f"dropped: {count} × {why}", markup=False, soft_wrap=True)


def _print_json(found: FilteredTable, written: Path) -> None:
    clips = found.table.column("clip").to_pylist()
    dropped = [{"clip": clip, "reason": why} for clip, why in zip(clips, found.why, strict=True) if why is not None]
    kept = [clip for clip, why in zip(clips, found.why, strict=True) if why is None]
    told = {"clips": len(clips), "kept": kept, "dropped": dropped, "reasons": dict(found.reasons), "out": str(written)}
    print_json_text(told)
