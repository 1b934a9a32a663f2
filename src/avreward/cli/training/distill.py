"""`avreward distill`: a small network that predicts a rater's scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import (
    SOME_FAILED,
    Complaints,
    cell,
    complain,
    named,
    print_json_text,
    progress,
    rater_of,
    stdout,
)
from avreward.cli._inputs import Inputs, Isolate, PromptsFile, decode_apart, listed

if TYPE_CHECKING:
    from avreward.training import DistilledRater


def distill(
    rater: Annotated[
        str, typer.Argument(help="The teacher: a name, a folder, an address or FILE.py:NAME.", show_default=False)
    ],
    clips: Inputs,
    out: Annotated[Path, typer.Option(help="The folder for the student.", show_default=False)],
    dimension: Annotated[str | None, typer.Option(help="Which score. Default: overall, or the only one.")] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What clips have in common that are not independent: a column of the manifest, parent, prompt, video "
            "or stem. Default: each clip is independent.",
        ),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Features, as for avreward teach. Default: glance, cheap statistics. Repeatable."),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The fallback's bound is about pairs, not about the best clip of a group.")
    ] = False,
    risk: Annotated[float, typer.Option(help="The largest accepted risk of the fallback.")] = 0.1,
    prompts: PromptsFile = None,
    isolate: Isolate = None,
    seed: Annotated[int, typer.Option(help="Of folds and networks.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Distill a rater: fit a small differentiable network to its scores, and say how well it predicts them.

    The student is a folder for --rater and load_rater. It knows how sure it is; load_rater(FOLDER, fallback=True) asks
    the teacher where it is not. All figures but the seconds are from groups that it was not trained on. The exit code
    is 1 if clips are left out, or there is no rule of when to ask the teacher.
    """
    from avreward.clip import Clip
    from avreward.errors import AvrewardError
    from avreward.raters.listener._head_files import check_replaceable
    from avreward.scoring._grouping import group_of
    from avreward.training import distill as learn

    check_replaceable(out)
    teacher, found, complaints = rater_of(rater, "RATER"), listed(clips, prompts), Complaints()
    decode_apart(found, isolate)
    opened: list[Clip] = []
    groups: list[object] = []
    for number, one in enumerate(found):
        try:
            clip = Clip.open(one.path, prompt=one.prompt, texts=one.texts)
            group = number if by is None else group_of(one, by, clip)
        except AvrewardError as error:
            if by is not None and not isinstance(error, ValueError):
                raise
            complaints(f"left out: {error}")
            continue
        opened.append(clip)
        groups.append(one.path if group is None else group)
    with progress("rating", len(opened)) as step:
        student = learn(
            teacher, opened, groups, dimension=dimension, encoders=encoder or ("glance",),
            decision="pairs" if pairs else "best", risk=risk, seed=seed, step=step,
        )  # fmt: skip
    for name, why in student.left_out:
        complaints(f"left out: {named(name, str(why))}")
    complaints.end("")
    written = student.save(out)
    rows = _rows(student)
    if as_json:
        left_out = [{"clip": name, "reason": why} for name, why in student.left_out]
        print_json_text({"rater": str(written), **rows, "left_out": left_out})
    else:
        from rich.table import Table

        table = Table(title=f"Student of {cell(teacher.name)}; it is in {cell(str(written))}", show_header=False)
        for label, value in rows.items():
            table.add_row(cell(label), cell(str(value)))
        stdout().print(table)
    if student.why_no_rule:
        complain(f"no fallback: {student.why_no_rule}")
    if student.why_no_rule or student.left_out or len(opened) < len(found):
        raise typer.Exit(SOME_FAILED)


def _rows(student: DistilledRater) -> dict[str, object]:
    """Return the figures with their labels."""
    rank, low, high = (round(value, 4) for value in student.srcc)
    own, theirs = (round(value, 5) for value in student.seconds)
    rows: dict[str, object] = {
        "clips": student.clips,
        "groups": student.groups,
        "held-out groups": student.held_out,
        "SRCC with the teacher": rank,
        "95 % interval": f"{low} to {high}",
        "root mean square error": round(student.error, 4),
        "standard deviation of the teacher's scores": round(student.spread, 4),
        "within 1.96 sigma": round(student.coverage, 3),
        "seconds a clip, student": own,
        "seconds a clip, teacher": theirs,
    }
    if student.rule is not None:
        rows["share that falls back"] = round(student.rule.asked, 3)
        rows["SRCC with fallback"] = round(student.cascade_srcc, 4)
        rows["fallback"] = student.rule.promise
    return rows
