"""`avreward raters`: who can judge, and what each of them looks at."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import stdout

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.scores import Dimension


def raters(
    names: Annotated[
        list[str] | None, typer.Argument(help="Checkpoints to list as well: folders or hub names.", show_default=False)
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", "-d", help="List the measurements behind the dimensions, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, details included, to standard output.")] = False,
) -> None:
    """List the raters with their dimensions.

    A name in the list can stand in `--reward`, alone (`audio_quality`) or with its rater
    (`signals.audio_quality`).
    """
    from avreward.cli._common import rater_of
    from avreward.raters.hub import RATERS

    loaded = [rater_of(name, "NAMES") for name in dict.fromkeys([*RATERS, *(names or ())])]
    if as_json:
        typer.echo(json.dumps([_told(rater) for rater in loaded], indent=2, allow_nan=False))
        return
    for rater in loaded:
        _print(rater, details)


def _told(rater: Rater) -> dict[str, Any]:
    return {
        "name": rater.name,
        "fingerprint": rater.fingerprint,
        "prompt_anchored": rater.prompt_anchored,
        "differentiable": rater.differentiable,
        "dimensions": [
            {
                "name": d.name,
                "low": d.low if math.isfinite(d.low) else None,
                "high": d.high if math.isfinite(d.high) else None,
                "unit": d.unit,
                "needs": sorted(d.needs),
                "higher_is_better": d.higher_is_better,
                "calibrated": d.calibrated,
                "detail": d.detail,
                "description": d.description,
            }
            for d in rater.dimensions
        ],
    }


def _print(rater: Rater, details: bool) -> None:
    from rich import box
    from rich.table import Table

    reads = "reads the prompt" if rater.prompt_anchored else "does not read the prompt"
    gradients = "with gradients" if rater.differentiable else "without gradients"
    title = f"[bold]{rater.name}[/bold]  [dim]{reads}, {gradients}, fingerprint {rater.fingerprint}[/dim]"
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Dimension", "Range", "Better", "Needs", "Levels", "What it is"):
        table.add_column(heading, no_wrap=heading == "Dimension")
    for dimension in rater.dimensions:
        if details or not dimension.detail:
            style = "dim" if dimension.detail else None
            table.add_row(*_row(dimension), style=style)
    stdout().print(table)
    hidden = sum(d.detail for d in rater.dimensions)
    if hidden and not details:
        stdout().print(f"[dim]and {hidden} measurements behind them: avreward raters --details[/dim]")


def _row(dimension: Dimension) -> tuple[str, ...]:
    from rich.markup import escape

    ends = (f"{end:g}" if math.isfinite(end) else "any" for end in (dimension.low, dimension.high))
    scale = " to ".join(ends).replace("any to any", "any")
    return (
        dimension.name,
        f"{scale} {dimension.unit}".strip(),
        {True: "higher", False: "lower", None: "neither"}[dimension.higher_is_better],
        ", ".join(sorted(dimension.needs)) or "picture or sound",
        "bad … excellent" if dimension.calibrated else "none",
        escape(dimension.description),
    )
