"""`avreward compare`: which system is best, from a table of scored clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import SOME_FAILED, RaterNames, complain, shown, stderr, writable
from avreward.cli._inputs import Isolate, PromptsFile, TableOrClips, keep_inputs

if TYPE_CHECKING:
    from avreward.evaluation.fine_tune import FineTuneVerdict
    from avreward.evaluation.systems import SystemComparison

LISTED = 10  # clips that are left out


def compare(
    clips: TableOrClips,
    system: Annotated[
        str | None,
        typer.Option(
            metavar="stem|parent|COLUMN",
            help="What tells systems apart: the file's name, its folder, or a column of the table or the manifest. "
            "Default: stem; with --items, the names of the clips.",
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="prompt|video|parent|stem|COLUMN",
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
    rater: RaterNames = None,
    reward: Annotated[
        str | None, typer.Option(metavar="EXPRESSION", help="Of clips: also compare this reward of their scores.")
    ] = None,
    prompts: PromptsFile = None,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="AVBench's items, answered by clips called ID_SYSTEM.mp4 or SYSTEM/ID.mp4: prompts, texts, systems, "
            "categories.",
        ),
    ] = None,
    isolate: Isolate = None,
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
    for path, option in ((out, "--out"), (differences, "--differences")):
        keep_inputs(path, [*clips, prompts, items], option)
    if trained and before is None:
        raise typer.BadParameter("name the system before the fine-tune with --before", param_hint="--trained")

    from avreward.cli._comparison import print_comparison, print_json
    from avreward.cli._scored import table_to_compare
    from avreward.evaluation.fine_tune import judge_fine_tune
    from avreward.evaluation.systems import compare_systems

    if items is not None:
        system, group_by = system or "system", group_by or "id"
    table, scored = table_to_compare(clips, rater, reward, prompts, group_by, items, isolate)
    if items is not None and by is None and table.has("category"):
        by = "category"
    found = compare_systems(
        table,
        system or "stem",
        group_by=group_by,
        columns=columns or None,
        lower=lower or (),
        by=by,
        level=level,
        seed=seed,
    )
    if before is not None and before not in found.systems:
        from avreward.errors import unknown_name

        raise unknown_name("before", before, found.systems)
    others = [name for name in found.systems if name != before] if before is not None else []
    verdicts = [judge_fine_tune(found, str(before), trained or (), after) for after in others]
    _write(found, verdicts, str(table.path), out, differences, report, copy_media)
    print_json(found, verdicts, str(table.path)) if as_json else print_comparison(found, verdicts)
    for one in found.left_out[:LISTED]:
        why = one.reason.removeprefix(f"{one.clip}: ")
        complain(f"left out: {shown(Path(one.clip))}: {one.dimension + ': ' if one.dimension else ''}{why}")
    if len(found.left_out) > LISTED:
        complain(f"left out: {len(found.left_out) - LISTED} more; --json names all")
    if found.left_out and scored:
        raise typer.Exit(SOME_FAILED)


def _write(
    found: SystemComparison,
    verdicts: list[FineTuneVerdict],
    source: str,
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

        write_comparison(found, source, path, verdicts, copy_media)

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
