"""`avreward compare`: which system is best, from a table of scored clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import complain, shown, stderr, stdout, writable
from avreward.cli.curve import finite

if TYPE_CHECKING:
    from rich.table import Table

    from avreward.evaluation._system_dimension import SystemDifference
    from avreward.evaluation.fine_tune import FineTuneVerdict
    from avreward.evaluation.systems import SystemComparison

LISTED = 10  # clips that are left out


def compare(
    table: Annotated[Path, typer.Argument(help="A scored table: .parquet, .jsonl or .csv.", show_default=False)],
    system: Annotated[
        str,
        typer.Option(
            metavar="stem|parent|COLUMN", help="What tells systems apart: the file's name, its folder, or a column."
        ),
    ] = "stem",
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="prompt|parent|stem|COLUMN",
            help="What the clips of a group share. Default: as the table was grouped; where folders are systems, the "
            "file's name.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--score", metavar="COLUMN", help="A score to compare. Repeatable. Default: the reward and main dimensions."
        ),
    ] = None,
    lower: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A score of which less is better. Repeatable.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Also means by category, such as the kind of prompt.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="SYSTEM", help="The system before a fine-tune: do the others help?")
    ] = None,
    trained: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="With --before: a score that was trained on. Repeatable."),
    ] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the random exchanges.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the table of systems: .csv (with intervals) or .tex (LaTeX).")
    ] = None,
    differences: Annotated[Path | None, typer.Option(help="Write all paired differences: .csv.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with all numbers and clips to look at.")] = None,
    copy_media: Annotated[bool, typer.Option("--copy-media", help="Copy those clips beside the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Compare systems: which is best, by how much, and can so few clips show it?

    Clips are compared within their groups (a prompt, a silent video): mean differences with intervals, win rates,
    Bradley–Terry strengths, p-values corrected for the number of comparisons, and the smallest difference that this
    many groups can show. A clip without a score is left out and named. With `--before`, a verdict on a fine-tune: the
    scores that it was trained on (`--trained`) beside those that were held out.
    """
    writable(out, "--out", (".csv", ".tex"))
    writable(differences, "--differences", (".csv",))
    writable(report, "--report", (".html", ".htm"))
    if trained and before is None:
        raise typer.BadParameter("name the system before the fine-tune with --before", param_hint="--trained")

    from avreward.evaluation.fine_tune import judge_fine_tune
    from avreward.evaluation.systems import compare_systems

    found = compare_systems(
        table, system, group_by=group_by, columns=columns or None, lower=lower or (), by=by, level=level, seed=seed
    )
    if before is not None and before not in found.systems:
        from avreward.errors import unknown_name

        raise unknown_name("before", before, found.systems)
    others = [name for name in found.systems if name != before] if before is not None else []
    verdicts = [judge_fine_tune(found, str(before), trained or (), after) for after in others]
    _write(found, verdicts, table, out, differences, report, copy_media)
    _print_json(found, verdicts, table) if as_json else _print(found, verdicts)
    for one in found.left_out[:LISTED]:
        complain(f"left out: {shown(Path(one.clip))}: {one.dimension + ': ' if one.dimension else ''}{one.reason}")
    if len(found.left_out) > LISTED:
        complain(f"left out: {len(found.left_out) - LISTED} more; --json names all")


def _write(
    found: SystemComparison,
    verdicts: list[FineTuneVerdict],
    table: Path,
    out: Path | None,
    differences: Path | None,
    report: Path | None,
    copy_media: bool,
) -> None:
    from avreward.errors import AvrewardError
    from avreward.report._compare_files import differences_csv, systems_csv, systems_latex
    from avreward.report.page import write_whole

    def page(path: Path) -> None:
        from avreward.report.compare_page import write_comparison

        write_comparison(found, str(table), path, verdicts, copy_media)

    def of_systems(path: Path) -> None:
        write_whole(path, (systems_latex if path.suffix.lower() == ".tex" else systems_csv)(found))

    def of_pairs(path: Path) -> None:
        write_whole(path, differences_csv(found))

    for path, write in ((out, of_systems), (differences, of_pairs), (report, page)):
        if path is None:
            continue
        try:
            write(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise AvrewardError(f"{path}: can't be written ({why}); choose another place") from error
        stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)


def _print(found: SystemComparison, verdicts: list[FineTuneVerdict]) -> None:
    from avreward.evaluation._system_words import amount
    from avreward.report.compare_page import size_of

    out = stdout()

    def say(text: str) -> None:
        out.print(text, markup=False, soft_wrap=True)

    say(f"{size_of(found)}.")
    for verdict in verdicts:
        say(f"{verdict.after}: {verdict.text}." if len(verdicts) > 1 else f"{verdict.text}.")
    for sentence in () if verdicts else found.verdicts:
        say(f"{sentence}.")
    names = [f"{name} ↓" if name in found.lower else name for name in found.dimensions]
    means = _table("System", *names)
    for system in found.systems:
        cells = [found.score(dimension, system) for dimension in found.dimensions]
        means.add_row(_plain(system), *(f"{amount(one.mean)} [{amount(one.low)}, {amount(one.high)}]" for one in cells))
    out.print(means)
    first = found.dimensions[0]
    chosen = [found.difference(name, v.after, v.before) for v in verdicts for name in found.dimensions]
    pairs = [one for one in chosen if one is not None] or [
        one for one in found.differences if one.dimension == first or found.differs(one)
    ]
    out.print(_differences(pairs))
    if len(found.systems) > 2:
        out.print(_wins(found, first))
    if found.categories:
        rows = _table("Category", "System", "Groups", *found.dimensions)
        for row in found.category_rows():
            rows.add_row(
                _plain(row[0].category), _plain(row[0].system), str(row[0].groups), *(amount(c.mean) for c in row)
            )
        out.print(rows)
    hidden = len(found.differences) - len(pairs)
    if hidden and not verdicts:
        say(
            f"{hidden} differences in other scores are not shown to differ from 0; --differences FILE.csv has them all."
        )
    say(f"Brackets: {found.level:.0%} intervals over groups. Corrected: for all pairs and scores.")
    for note in found.notes:
        say(note)


def _differences(pairs: Sequence[SystemDifference]) -> Table:
    from avreward.evaluation._system_words import amount, p_text, span
    from avreward.report.compare_page import percent

    rows = _table("Difference", "Score", "Groups", "[interval]", "Wins", "p", "p, corrected", "Smallest shown")
    for one in pairs:
        least = f"needs {one.needed} groups" if one.groups < one.needed else amount(one.smallest)
        cells = (str(one.groups), span(one), percent(one.wins), p_text(one.p), p_text(one.corrected), least)
        rows.add_row(*map(_plain, (f"{one.first} − {one.second}", one.dimension, *cells)))
    return rows


def _wins(found: SystemComparison, dimension: str) -> Table:
    """Return the win matrix of a dimension, with strengths."""
    from avreward.evaluation._system_words import amount, signed
    from avreward.report.compare_page import percent

    rows = _table(f"{dimension}: row beats column", *found.systems, "Strength")
    for system in found.systems:
        pairs = [None if other == system else found.difference(dimension, system, other) for other in found.systems]
        score = found.score(dimension, system)
        strength = f"{signed(score.strength)} [{amount(score.strength_low)}, {amount(score.strength_high)}]"
        rows.add_row(_plain(system), *(percent(one.wins) if one else "" for one in pairs), _plain(strength))
    return rows


def _table(first: str, *heads: str) -> Table:
    from rich import box
    from rich.table import Table

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows.add_column(_plain(first), no_wrap=True)
    for head in heads:
        rows.add_column(_plain(head), justify="right")
    return rows


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _print_json(found: SystemComparison, verdicts: list[FineTuneVerdict], table: Path) -> None:
    from dataclasses import asdict

    parts = ("scores", "differences", "categories", "left_out")
    told = {
        "table": str(table),
        "systems": found.systems,
        "dimensions": found.dimensions,
        "lower": sorted(found.lower),
        "clips": found.clips,
        "groups": found.groups,
        "rule": found.rule,
        "level": found.level,
        "verdicts": found.verdicts,
        "notes": found.notes,
        "fine_tunes": [
            {"before": v.before, "after": v.after, "outcome": v.outcome, "text": v.text, "trained": v.trained,
             "held_out": v.held_out, "changes": dict(v.changes)}
            for v in verdicts
        ],
        **{part: [asdict(one) for one in getattr(found, part)] for part in parts},
    }  # fmt: skip
    typer.echo(json.dumps(finite(told), indent=2, allow_nan=False, ensure_ascii=False))
