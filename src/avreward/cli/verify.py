"""`avreward verify`: are these the scores that the authors published?"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import SOME_FAILED, cell, print_json_text, stdout

if TYPE_CHECKING:
    from avreward.evaluation.verification import Verification


def verify(
    rater: Annotated[str, typer.Argument(help="A checkpoint: a folder, or a name on the hub.", show_default=False)],
    clips: Annotated[list[Path], typer.Argument(help="The clips with published scores.", show_default=False)],
    expected: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns clip (beginning of the file's name) and one a dimension. "
                     "Default: what the rater's authors published."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:  # fmt: skip
    """Score known clips and compare with published scores.

    For AGAV-Rater: the four clips of its ElevenLabs demonstration. Runs in float16 on a GPU, as the published scores
    were made, and in float32 on a CPU. Exit code 1 if they differ by more than half precision explains, for
    the range of the scores, or if the order of three or more clips differs.
    """
    import torch

    from avreward.clip import Clip
    from avreward.datasets.readers.published_scores import read_published
    from avreward.errors import ArgumentError, AvrewardError
    from avreward.evaluation.verification import verify as compare
    from avreward.raters.hub import load_rater
    from avreward.raters.lmm.rater import LmmRater
    from avreward.raters.registry import names

    if rater in names():
        raise ArgumentError("rater", "one with published scores", rater, "name a checkpoint")
    published = None if expected is None else read_published(expected)
    opened = [Clip.open(path) for path in clips]
    judge = load_rater(rater, dtype="float16" if torch.cuda.is_available() else "float32")
    if published is None:
        published = judge.published if isinstance(judge, LmmRater) else {}
        if not published:
            raise AvrewardError(f"{rater}: its authors published no scores that avreward knows; give --expected FILE")
    result = compare(judge, opened, published)
    _print_json(result) if as_json else _print(result)
    if not result.passed:
        raise typer.Exit(SOME_FAILED)


def _print(result: Verification) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Clip", overflow="fold")
    table.add_column("Dimension", no_wrap=True)
    for heading in ("Published", "Here", "Difference", "Allowed"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in result.rows:
        verdict = "[green]agrees[/green]" if row.agrees else "[red]differs[/red]"
        numbers = (row.published, row.ours, row.ours - row.published, row.tolerance)
        table.add_row(cell(row.clip), cell(row.dimension), *(f"{number:.4f}" for number in numbers), verdict)
    out = stdout()
    out.print(table)
    for dimension, value in result.order.items():
        out.print(f"Order of {dimension}: SRCC {value:.3f}", markup=False)
    out.print(result.verdict[0].upper() + result.verdict[1:] + ".", markup=False, soft_wrap=True)


def _print_json(result: Verification) -> None:
    rows = [
        {**asdict(row), "ours": row.ours if math.isfinite(row.ours) else None, "agrees": row.agrees}
        for row in result.rows
    ]
    told = {"passed": result.passed, "verdict": result.verdict, "order": dict(result.order), "rows": rows}
    told["not_compared"] = list(result.left)
    print_json_text(told)
