"""`avreward teach`: a rater from choices, comparisons or ratings, with a check of what it learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward._parsing import parsed_json
from avreward.cli._common import SOME_FAILED, Complaints, cell, complain, named, print_json_text, progress, stdout
from avreward.cli._inputs import Isolate, decode_apart

if TYPE_CHECKING:
    from avreward.training import Judgment, TaughtRater

SEVERAL = 3  # groups in which a file's name occurs, for it to be that of a system


def teach(
    choices: Annotated[
        Path,
        typer.Argument(
            help="A table with a row a comparison (first, second and a verdict; chosen and rejected), such as avreward "
            "ask exports, or a folder of pairs; with --ratings a table with a row a clip; with --own a folder of "
            "videos.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the rater.", show_default=False)],
    verdict: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column that says first, second or tie. Default: preferred, if it is there."
        ),
    ] = None,
    ratings: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="CHOICES has a row a clip, rated in this column; more is better."),
    ] = None,
    own: Annotated[
        bool,
        typer.Option("--own", help="CHOICES are real videos: learn their own sound from sounds of others and shifts."),
    ] = False,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="Features beside the measurements of signals: aisfx (sound), efficientnet_lite0 (pictures), an "
            "embedding model, the scores of any rater. Repeatable."
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option("--push-to-hub", metavar="[OWNER/]NAME", help="Also upload the rater, to a private repository."),
    ] = None,
    isolate: Isolate = None,
    seed: Annotated[int, typer.Option(help="Of folds and degraded copies.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Teach a rater what you prefer, from fifty choices or so, and say honestly how well it does on new ones.

    The rater is a folder for --rater and load_rater, differentiable. A warning says where it learned nothing, only the
    format, or only which system made a clip; the exit code is then 1.
    """
    from avreward.raters.listener._head_files import check_replaceable
    from avreward.training import teach as learn

    check_replaceable(out)
    if own and ratings is not None:
        raise typer.BadParameter("give one of --own and --ratings", param_hint="--own")
    complaints = Complaints()
    if own:
        judgments = _own(choices, seed, isolate)
    elif ratings:
        judgments = _rated(choices, ratings, isolate)
    else:
        judgments = _chosen(choices, verdict, isolate)
    with progress("measuring", len({id(clip) for one in judgments for clip in one.clips})) as step:
        found = learn(judgments, encoder or (), degrade=not own, seed=seed, step=step)
    for name, why in found.left_out:
        complaints(f"left out: {named(name, str(why))}")
    complaints.end("")
    written = found.save(out)
    _print_json(found, written) if as_json else _print(found, written)
    if push is not None:
        complain(found.rater.push_to_hub(push))
    for warning in found.warnings:
        complain(warning)
    if found.warnings or found.left_out:
        raise typer.Exit(SOME_FAILED)


def _chosen(path: Path, verdict: str | None, isolate: bool | None) -> list[Judgment]:
    from avreward.clip import Clip
    from avreward.studies._pair_rows import read_pair_rows
    from avreward.training import Judgment

    column = verdict or ("preferred" if _has(path, "preferred") else None)
    rows = read_pair_rows(path, column)
    decode_apart({file for row in rows for file in row.files}, isolate)
    known: dict[Path, Clip] = {}
    names: dict[str, set[str]] = {}
    for row in rows:
        for file in row.files:
            known.setdefault(file, Clip.open(file, prompt=row.prompt or None))
            names.setdefault(file.stem, set()).add(row.group or str(row.files))
    made_by = all(len(groups) >= SEVERAL for groups in names.values())
    return [
        Judgment(
            (known[row.files[0]], known[row.files[1]]),
            row.picked,
            row.group or " ".join(sorted(map(str, row.files))),
            (row.files[0].stem, row.files[1].stem) if made_by else None,
        )
        for row in rows
    ]


def _has(path: Path, column: str) -> bool:
    """Return whether a CSV, JSONL or Parquet table has a column."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return column in parquet.read_schema(path).names
    if path.suffix not in (".csv", ".jsonl") or not path.is_file():
        return False
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return column in (first.strip().split(",") if path.suffix == ".csv" else parsed_json(first))


def _rated(path: Path, column: str, isolate: bool | None) -> list[Judgment]:
    from avreward.clip import Clip
    from avreward.scoring import read_table
    from avreward.training import judgments_of_ratings

    table = read_table(path)
    rows = {name: table.column(name).to_pylist() for name in ("clip", "group", "prompt", "system") if table.has(name)}
    if "group" not in rows:
        raise typer.BadParameter(f"{path}: expected a column group, got none; add one", param_hint="CHOICES")
    prompts = rows.get("prompt") or [None] * len(table)
    decode_apart(rows["clip"], isolate)
    clips = [Clip.open(file, prompt=prompt) for file, prompt in zip(rows["clip"], prompts, strict=True)]
    systems = rows.get("system")
    known = systems if systems is not None and all(systems) else None
    return judgments_of_ratings(clips, table.numbers(column).tolist(), list(map(str, rows["group"])), known)


def _own(folder: Path, seed: int, isolate: bool | None) -> list[Judgment]:
    from avreward.cli._inputs import listed
    from avreward.clip import Clip
    from avreward.training import own_sounds

    videos = listed([folder])
    decode_apart(videos, isolate)
    return own_sounds([Clip.open(one.path) for one in videos], seed=seed)


def _print(found: TaughtRater, written: Path) -> None:
    from rich.table import Table

    table = Table(title=f"Agreement with choices, held out; the rater is in {cell(str(written))}")
    for name in ("", "comparisons", "95 % interval", "best of the group", "groups"):
        table.add_column(name, justify="left" if not name else "right")
    for row in found.checks:
        table.add_row(row.row["by"], row.row["pairs"], row.row["interval"], row.row["best"], str(row.groups))
    own = found.checks[0]
    table.add_row("chance", "0.50", "", f"{own.chance:.2f}", "")
    stdout().print(table)
    hears = ", ".join(f"{name} ({weight:+.2f})" for name, weight in found.strongest)
    stdout().print(f"It goes by: {hears}", markup=False, soft_wrap=True)


def _print_json(found: TaughtRater, written: Path) -> None:
    told = {
        "rater": str(written),
        "learned": found.learned,
        "checks": [row.row | {"groups": row.groups} for row in found.checks],
        "chance": found.checks[0].chance,
        "warnings": list(found.warnings),
        "strongest": dict(found.strongest),
        "left_out": [{"clip": name, "reason": why} for name, why in found.left_out],
    }
    print_json_text(told)
