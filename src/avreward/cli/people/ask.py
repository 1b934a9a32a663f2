"""`avreward ask`: people choose between the two clips of pairs that a rater compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward._extras import extra
from avreward.cli._common import NOTHING, SOME_FAILED, cell, named, print_json_text, progress, stderr, stdout, writable
from avreward.cli._inputs import Isolate, decode_apart, keep_inputs
from avreward.cli.people._serving import serve

if TYPE_CHECKING:
    from avreward.studies.choices import Choices

REASONS = 5


def ask(
    pairs: Annotated[
        Path,
        typer.Argument(
            help="A folder that avreward pairs wrote, a table with a row a comparison (.parquet, .jsonl, .csv), or the "
            "folder of an experiment.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where media and answers are kept. Default: PAIRS-answers, beside it.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask about so many pairs, drawn evenly from the groups. Default: all.")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="A table's column that says first, second or tie.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw, and of orders and places.")] = 0,
    host: Annotated[
        str, typer.Option(help="This machine alone by default. 0.0.0.0: a network; the address then holds a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    isolate: Isolate = None,
    result: Annotated[bool, typer.Option("--result", help="Serve nothing; print what people answered.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the answers at the end: .csv, .jsonl or .parquet.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Ask people which clip of a pair is better, on a page, and compare them with the rater.

    The page is served until Ctrl-C; then it prints how often people prefer what the rater prefers. Every answer is
    stored as it is given, and the command continues where it was. Needs the extra `server`.
    """
    from avreward.studies import export_answers, summarize
    from avreward.studies._rows import ENDINGS

    writable(export, "--export", ENDINGS)
    keep_inputs(export, [pairs], "--export")
    if not result:
        with extra("server"):  # before clips are prepared
            import starlette  # noqa: F401
            import uvicorn  # noqa: F401
    choices = _choices(pairs, out, limit, verdict, seed, result, isolate)
    if not result:
        if not choices.asked():
            _print_left_out(summarize(choices))
            stderr().print("no pair can be asked about", markup=False)
            raise typer.Exit(NOTHING)
        from avreward.studies import ChoiceServer

        serve(ChoiceServer(choices, host, port), "choose", choices.folder)
    found = summarize(choices)
    if as_json:
        print_json_text({"experiment": str(choices.path), **found})
    else:
        _print(found)
    _print_left_out(found)
    if export is not None:
        export_answers(choices, export)
        stderr().print(f"wrote {export}", style="dim", markup=False, soft_wrap=True)
    if found["left_out"] and not result:
        raise typer.Exit(SOME_FAILED)


def _choices(
    pairs: Path, out: Path | None, limit: int | None, verdict: str | None, seed: int, result: bool, isolate: bool | None
) -> Choices:
    """Return the experiment: one that is there, or one made of the pairs."""
    from avreward.studies import Choices, prepare_pairs, read_pair_rows
    from avreward.studies._prepare_pairs import pairs_to_prepare
    from avreward.studies.choices import FILE

    if (pairs / FILE).is_file():
        if out is not None or limit is not None:
            message = "an experiment that is there keeps its folder and its pairs; leave the option out"
            raise typer.BadParameter(message, param_hint="--out" if out is not None else "--limit")
        return Choices(pairs)
    named = pairs if pairs.name not in ("", "..") else pairs.resolve()
    folder = out or named.with_name(f"{named.stem if named.is_file() else named.name}-answers")
    if result:
        return Choices(folder)
    rows = read_pair_rows(pairs, verdict)
    decode_apart({file for row in rows for file in row.files}, isolate)
    with progress("Preparing", pairs_to_prepare(rows, limit)) as step:
        return prepare_pairs(rows, folder, limit=limit, seed=seed, step=step)


def _print(found: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    rows = Table(title="How often people prefer the rater's pick, with 95 % intervals", box=box.SIMPLE_HEAD)
    rows.add_column("")
    for name in ("answers", "prefer the pick", "can't tell", "groups won : lost : tied", "of groups"):
        rows.add_column(name, justify="right", no_wrap=True)
    for name, part in {"all": found["all"], **found["categories"]}.items():
        rows.add_row(
            cell(name), f"{part['answers']}", _share(part["share"], part["low"], part["high"]), f"{part['undecided']}",
            f"{part['won']} : {part['lost']} : {part['tied']}", _share(part["by_video"], *part["by_video_interval"]),
        )  # fmt: skip
    everything, out = found["all"], stdout()
    out.print(rows)
    people = len(found["people"])
    out.print(f"{found['videos']} pairs, {people} {'person' if people == 1 else 'people'}.", markup=False)
    if everything["method"] == "nothing":
        out.print("There is no interval with fewer than two answers that decide.", markup=False)
    else:
        text = f"Intervals are clustered by {everything['method'].replace('video', 'group')}; those of groups hold for"
        out.print(f"{text} these people.", markup=False, soft_wrap=True)
    if everything["people"] == 1:
        out.print("One person: the interval says nothing about other people.", markup=False)


def _share(value: float | None, low: float, high: float) -> str:
    return "–" if value is None else f"{value:.0%} ({low:.0%}–{high:.0%})"


def _print_left_out(found: Mapping[str, Any]) -> None:
    listed = list(found["left_out"].items())
    for name, why in listed[:REASONS]:
        stderr().print(f"left out: {named(name, why)}", markup=False, soft_wrap=True)
    if len(listed) > REASONS:
        stderr().print(f"left out: {len(listed) - REASONS} more", markup=False)
