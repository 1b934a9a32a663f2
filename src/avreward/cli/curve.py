"""`avreward curve`: what choosing the best of k is worth, from a table of scored candidates."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import RaterNames, cell, print_json_text, stderr, stdout, writable
from avreward.cli._inputs import Isolate, PromptsFile, TableOrClips
from avreward.cli._scored import table_of

if TYPE_CHECKING:
    from avreward.selection.best_of_k._curve import BestOfKCurve

LISTED = 12  # rows of the printed table
REASONS = 5

GroupColumn = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="parent|prompt|video|stem|COLUMN",
        help="What candidates of one prompt share. Default: the table's column group.",
    ),
]
RewardColumn = Annotated[
    str | None,
    typer.Option(
        "--reward",
        metavar="COLUMN|EXPRESSION",
        help="What counts: a column, or an expression over the scores; nothing is scored again. Default: reward.",
    ),
]


def curve(
    inputs: TableOrClips,
    reward: RewardColumn = None,
    rater: RaterNames = None,
    prompts: PromptsFile = None,
    isolate: Isolate = None,
    second: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="A score not used for choosing: how much of the gain does it see?"),
    ] = None,
    group_by: GroupColumn = None,
    gain: Annotated[float | None, typer.Option(help="Also find the k that this gain in reward needs.")] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    resamples: Annotated[int, typer.Option(help="Of the prompts, for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write a page with the curves.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Estimate what choosing the best of k candidates is worth, for every k up to the pool's size.

    From candidates that were scored once: the expected maximum without bias, the gain over one candidate, the win
    rate, the KL bound, with intervals over prompts; with `--second`, the winner's curse.
    """
    writable(report, "--report", (".html", ".htm"))

    from avreward.report.curve_page import write_curve
    from avreward.selection.best_of_k._curve import best_of_k_curve as measured
    from avreward.selection.candidates import candidates_of

    table, reward, group_by = table_of(inputs, reward, rater, prompts, group_by, isolate)
    found = measured(candidates_of(table, reward, group_by), second, gain, level, resamples, seed)
    if report is not None:
        from avreward.errors import AvrewardError

        try:
            write_curve(found, str(table.path), report)
        except OSError as error:
            why = error.strerror or str(error)
            raise AvrewardError(f"{report}: can't be written ({why}); choose another place") from error
        stderr().print(f"wrote {report}", style="dim", markup=False, soft_wrap=True)
    _print_json(found, table.path) if as_json else _print(found)


def _print(found: BestOfKCurve) -> None:
    from rich import box
    from rich.table import Table

    from avreward.report.curve_page import grouped, notes, span
    from avreward.report.page import number

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    heads = ["k", "Prompts", found.reward, "Gain", "Win rate", "KL bound"]
    if found.curse is not None:
        heads += [f"{found.curse.second}, σ", "Predicted, σ"]
    for head in heads:
        rows.add_column(cell(head), justify="right", no_wrap=True)
    for k in _shown(len(found.points)):
        point = found.points[k - 1]
        cells = [str(k), str(point.prompts), *map(span, (point.expected, point.gain, point.win_rate))]
        cells.append(number(point.kl_bound))
        if found.curse is not None:
            held = found.curse.points[k - 1] if k <= len(found.curse.points) else None
            cells += [span(None), span(None)] if held is None else [span(held.second), span(held.predicted)]
        rows.add_row(*cells)
    out = stdout()
    out.print(f"{grouped(found)}.", markup=False)
    out.print(rows)
    if found.needed is not None:
        out.print(_needed(found), markup=False, soft_wrap=True)
    if found.curse is not None:
        text = f"Correlation with {found.curse.second} within prompts: {span(found.curse.correlation)}."
        out.print(text, markup=False, soft_wrap=True)
    out.print(f"Brackets: {found.level:.0%} intervals over prompts.", markup=False)
    for note in notes(found):
        out.print(note, markup=False, soft_wrap=True)
    print_missing(found.missing)


def print_missing(missing: Any) -> None:
    """Print what was left out and why, on standard error."""
    listed = list(missing.items())
    for reason, count in listed[:REASONS]:
        stderr().print(f"left out: {count} × {reason}", markup=False, soft_wrap=True)
    if len(listed) > REASONS:
        rest = sum(count for _, count in listed[REASONS:])
        stderr().print(f"left out: {rest} × {len(listed) - REASONS} other reasons", markup=False)


def _needed(found: BestOfKCurve) -> str:
    assert found.needed is not None
    most = f"more than {len(found.points)}"
    if found.needed.k is None:
        return f"A gain of {found.needed.gain:g} needs {most} candidate{'' if len(found.points) == 1 else 's'}."
    text = f"A gain of {found.needed.gain:g} needs k = {found.needed.k}"
    if found.needed.low is not None:
        text += f" (interval {found.needed.low} to {found.needed.high or most})"
    return text + "."


def _shown(last: int) -> list[int]:
    """All k, or powers of two and the last."""
    if last <= LISTED:
        return list(range(1, last + 1))
    return [*(2**i for i in range(int(math.log2(last)) + 1) if 2**i < last), last]


def _print_json(found: BestOfKCurve, table: Path) -> None:
    told = {"table": str(table), "prompts": found.prompts, "candidates": found.candidates, **asdict(found)}
    print_json_text(told)
