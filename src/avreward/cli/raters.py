"""`avreward raters`: who can judge, and what each of them looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import cell, print_json_text, stdout

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.raters.card import RaterCard
    from avreward.raters.scores import Dimension


def raters(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Raters to load and describe: signals, folders, hub names or FILE.py:NAME. Default: list them all.",
            show_default=False,
        ),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", "-d", help="List the measurements behind the dimensions, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """List the raters with their dimensions, what these need, and licences.

    A dimension's name can be used in `--reward`, alone (`audio_quality`) or with its rater
    (`signals.audio_quality`).
    """
    found = _named(names) if names else _listed(details)
    if as_json:
        print_json_text([_told(card, rater, details) for card, rater in found])
        return
    if names or details:
        for card, rater in found:
            _print(card, rater, details)
        return
    _print_list([card for card, _ in found])


def _listed(details: bool) -> list[tuple[RaterCard, Rater | None]]:
    """Every card; with details the raters that need no checkpoint are loaded, since their code knows them."""
    from avreward.cli._common import rater_of
    from avreward.raters.registry import list_raters

    return [(card, rater_of(card.name, "NAMES") if details and card.make else None) for card in list_raters()]


def _named(names: Sequence[str]) -> list[tuple[RaterCard, Rater | None]]:
    from avreward.cli._common import rater_of
    from avreward.raters.card import RaterCard
    from avreward.raters.registry import card_of

    found: list[tuple[RaterCard, Rater | None]] = []
    for name in dict.fromkeys(names):
        card = card_of(name)
        if card is not None and card.make is None:
            found.append((card, None))
            continue
        rater = rater_of(name, "NAMES")
        kind = card or RaterCard(rater.name, checkpoint=name)
        found.append((RaterCard(rater.name, rater.dimensions, kind.licence, kind.checkpoint), rater))
    return found


def _told(card: RaterCard, rater: Rater | None, details: bool) -> dict[str, Any]:
    loaded = {} if rater is None else {
        "fingerprint": rater.fingerprint,
        "prompt_anchored": rater.prompt_anchored,
        "differentiable": rater.differentiable,
    }  # fmt: skip
    dimensions = card.dimensions if rater is None else rater.dimensions
    return {
        "name": card.name,
        "needs": sorted(card.needs),
        "licence": card.licence,
        "checkpoint": card.checkpoint or None,
        **loaded,
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
            for d in dimensions
            if details or not d.detail
        ],
    }


def _print_list(cards: Sequence[RaterCard]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Rater", "Dimensions", "Needs", "Licence", "Checkpoint"):
        table.add_column(heading, no_wrap=heading == "Rater")
    for card in cards:
        names = ", ".join(d.name for d in card.dimensions if not d.detail)
        cells = (card.name, names or "known after loading", _needs(card.needs), card.licence, card.checkpoint or "none")
        table.add_row(*map(cell, cells))
    stdout().print(table)
    stdout().print("[dim]avreward raters NAME describes the dimensions of one[/dim]")


def _print(card: RaterCard, rater: Rater | None, details: bool) -> None:
    from rich import box
    from rich.table import Table

    facts = [f"licence {card.licence}", f"checkpoint {card.checkpoint or 'none'}"]
    if rater is not None:
        reads = "reads the prompt" if rater.prompt_anchored else "does not read the prompt"
        gradients = "with gradients" if rater.differentiable else "without gradients"
        facts = [reads, gradients, f"fingerprint {rater.fingerprint}", *facts]
    title = f"[bold]{cell(card.name)}[/bold]  [dim]{cell(', '.join(facts))}[/dim]"
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Dimension", "Range", "Better", "Needs", "Levels", "What it is"):
        table.add_column(heading, no_wrap=heading == "Dimension")
    dimensions = card.dimensions if rater is None else rater.dimensions
    for dimension in dimensions:
        if details or not dimension.detail:
            style = "dim" if dimension.detail else None
            table.add_row(*_row(dimension), style=style)
    stdout().print(table)
    hidden = sum(d.detail for d in dimensions)
    if hidden and not details:
        stdout().print(f"[dim]and {hidden} measurements behind them: avreward raters {cell(card.name)} --details[/dim]")


def _needs(needs: frozenset[str]) -> str:
    return ", ".join(sorted(needs)) or "video or audio"


def _row(dimension: Dimension) -> tuple[str, ...]:

    ends = (f"{end:g}" if math.isfinite(end) else "any" for end in (dimension.low, dimension.high))
    scale = " to ".join(ends).replace("any to any", "any")
    return (
        cell(dimension.name),
        cell(f"{scale} {dimension.unit}".strip()),
        {True: "higher", False: "lower", None: "neither"}[dimension.higher_is_better],
        _needs(dimension.needs),
        "bad … excellent" if dimension.calibrated else "none",
        cell(dimension.description),
    )
