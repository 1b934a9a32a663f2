"""`avreward study`: people rate clips on a page, compare two, or compare the soundtracks of one video."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward._extras import extra
from avreward.cli._common import NOTHING, SOME_FAILED, cell, named, print_json_text, progress, stderr, stdout, writable
from avreward.cli._inputs import INPUTS, GroupRule, Isolate, PromptsFile, decode_apart, listed
from avreward.cli.people._serving import serve

if TYPE_CHECKING:
    from avreward.studies import RatingStudy

REASONS = 5
DEFAULT = Path("study")


class Answers(StrEnum):
    """What people do."""

    scores = "scores"
    pairs = "pairs"
    soundtracks = "soundtracks"


class Opinions(StrEnum):
    """How mean opinion scores are computed."""

    mean = "mean"
    z_score = "z_score"
    bias_removed = "bias_removed"
    p910 = "p910"


def study(
    clips: Annotated[
        list[Path], typer.Argument(help=f"{INPUTS} Or the folder of a study, to continue it.", show_default=False)
    ],
    mode: Annotated[
        Answers | None,
        typer.Option(
            help="scores: sliders for each clip. pairs: which of two clips of a group is better. soundtracks: "
            "one video, several soundtracks. Default: scores.",
            show_default=False,
        ),
    ] = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option(
            help="What is rated: audio_quality, av_consistency, overall, video_quality, text_alignment, or one of "
            "--criteria. Once for each. Default: the first three for scores, overall for pairs; soundtracks: the best "
            "one is chosen.",
            show_default=False,
        ),
    ] = None,
    criteria: Annotated[
        Path | None,
        typer.Option(
            help="YAML or JSON: dimension → title, about, criteria (five texts, best first).", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where media and answers are kept. Default: study, in this folder.", show_default=False),
    ] = None,
    training: Annotated[
        list[Path] | None,
        typer.Option(help="Clips that everyone meets first, for practice; they don't count.", show_default=False),
    ] = None,
    every_pair: Annotated[
        bool,
        typer.Option(
            "--every-pair",
            help="Ask everyone about every pair. Default: the pair that tells most comes next, until the order is "
            "known.",
        ),
    ] = False,
    daily_limit: Annotated[
        int | None, typer.Option(min=1, help="Questions that a person answers on one day. Default: any number.")
    ] = None,
    group_by: GroupRule = None,
    prompts: PromptsFile = None,
    isolate: Isolate = None,
    seed: Annotated[int, typer.Option(help="Of orders and places.")] = 0,
    host: Annotated[
        str, typer.Option(help="This machine alone by default. 0.0.0.0: a network; the address then holds a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8000,
    result: Annotated[bool, typer.Option("--result", help="Serve nothing; print what people answered.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write ratings or comparisons at the end: .csv, .jsonl or .parquet.", show_default=False),
    ] = None,
    mos: Annotated[
        Path | None, typer.Option(help="Write mean opinion scores at the end, a row a clip.", show_default=False)
    ] = None,
    mos_method: Annotated[
        Opinions, typer.Option(help="How they are computed; z_score as in AGAV-Rater's study.")
    ] = Opinions.mean,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Ask people to rate clips on a page: sliders, two clips, or the soundtracks of one video.

    The page is served until Ctrl-C; then it prints what people answered. Every answer is stored as it is given, several
    people may answer at once, and the command continues where it was. Needs the extra `server`.
    """
    from avreward.studies import export_opinions, export_study, summarize_study
    from avreward.studies._rows import ENDINGS

    writable(export, "--export", ENDINGS)
    writable(mos, "--mos", ENDINGS)
    if not result:
        with extra("server"):  # before clips are prepared
            import starlette  # noqa: F401
            import uvicorn  # noqa: F401
    asked = _there(clips, mode, dimension, criteria, out, training, daily_limit, result)
    if asked is None:
        asked = _made(
            clips, mode, dimension, criteria, out, training, every_pair, daily_limit, group_by, prompts, seed, isolate
        )
    if mos is not None and (asked.mode == "pairs" or not asked.dimensions):
        message = "mean opinion scores need sliders; write the comparisons with --export"
        raise typer.BadParameter(message, param_hint="--mos")
    if not result:
        if not asked.questions():
            _print_left_out(asked)
            stderr().print("nothing can be asked about", markup=False)
            raise typer.Exit(NOTHING)
        from avreward.studies import RatingServer

        serve(RatingServer(asked, host, port), "rate", asked.folder)
    found = summarize_study(asked)
    if as_json:
        print_json_text({"study": str(asked.path), **found})
    else:
        _print(found)
    _print_left_out(asked)
    if export is not None:
        export_study(asked, export)
    if mos is not None:
        export_opinions(asked, mos, mos_method.value)
    for path in (export, mos):
        if path is not None:
            stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)
    if found["left_out"] and not result:
        raise typer.Exit(SOME_FAILED)


def _there(
    clips: list[Path], mode: Answers | None, dimension: list[str] | None, criteria: Path | None, out: Path | None,
    training: list[Path] | None, daily_limit: int | None, result: bool,
) -> RatingStudy | None:  # fmt: skip
    """Return the study that is there already, if the command names it."""
    from avreward.studies import RatingStudy

    if len(clips) == 1 and (clips[0] / RatingStudy.FILE).is_file():
        kept = {"--mode": mode, "--dimension": dimension, "--criteria": criteria, "--out": out, "--training": training}
        for option, value in kept.items():
            if value is not None:
                message = "a study that is there keeps its settings and its clips; leave the option out"
                raise typer.BadParameter(message, param_hint=option)
        return RatingStudy(clips[0], daily_limit=daily_limit)
    return RatingStudy(out or DEFAULT) if result else None


def _made(
    clips: list[Path], mode: Answers | None, dimension: list[str] | None, criteria: Path | None, out: Path | None,
    training: list[Path] | None, every_pair: bool, daily_limit: int | None, group_by: str | None, prompts: Path | None,
    seed: int, isolate: bool | None,
) -> RatingStudy:  # fmt: skip
    """Return a study of the clips."""
    from avreward.studies import RatingStudy, prepare_study, rated_dimensions

    kind = (mode or Answers.scores).value
    if every_pair and kind != "pairs":
        raise typer.BadParameter("only --mode pairs has pairs; leave the option out", param_hint="--every-pair")
    dimensions = rated_dimensions(dimension, criteria) if dimension or criteria else None
    found, practice = listed(clips, prompts), listed(training or [])
    decode_apart([*found, *practice], isolate)
    limits = {"every_pair": every_pair, "daily_limit": daily_limit}
    made = RatingStudy(out or DEFAULT, kind, dimensions, seed=seed, **limits)  # type: ignore[arg-type]
    with progress("Preparing", len({one.path for one in found}) + len({one.path for one in practice})) as step:
        prepare_study(made, found, practice, group_by=group_by, step=step)
    return made


def _print(found: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    people = Table(title="Answers", box=box.SIMPLE_HEAD)
    people.add_column("person")
    people.add_column("answers", justify="right")
    for person, count in found["people"].items():
        people.add_row(cell(person), str(count))
    out = stdout()
    out.print(people)
    out.print(f"{found['clips']} clips, {found['questions']} questions, {found['answers']} answers.", markup=False)
    for group, order in found.get("orders", {}).items():
        ranked = Table(title=cell(f"Order in {group}: {order['settled']:.0%} known"), box=box.SIMPLE_HEAD)
        for name in ("clip", "strength", "95 % interval"):
            ranked.add_column(name, justify="left" if name == "clip" else "right")
        for clip in order["clips"]:
            ranked.add_row(cell(clip["clip"]), f"{clip['strength']:.2f}", f"{clip['low']:.2f} to {clip['high']:.2f}")
        out.print(ranked)


def _print_left_out(asked: RatingStudy) -> None:
    out = {clip.name: clip.reason for clip in asked.clips() if clip.reason}
    for name, why in list(out.items())[:REASONS]:
        stderr().print(f"left out: {named(name, why)}", markup=False, soft_wrap=True)
    if len(out) > REASONS:
        stderr().print(f"left out: {len(out) - REASONS} more", markup=False)
