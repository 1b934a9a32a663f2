"""`avreward dub`: dubs of silent videos by a provider, the best of each kept."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward._whole_files import whole_file
from avreward.cli._common import (
    NOTHING,
    SOME_FAILED,
    RaterNames,
    complain,
    print_json_text,
    progress,
    raters_of,
    reward_of,
    shown,
    stderr,
    stdout,
)
from avreward.cli._inputs import Inputs, Isolate, PromptsFile, decode_apart, listed
from avreward.cli._store import NoStore, StorePath, store_of

if TYPE_CHECKING:
    from avreward.studies.dubbing import Dubbed, SilentVideo

FAILURES = 10  # shown


class DubProvider(StrEnum):
    """Where dubs come from."""

    ELEVENLABS = "elevenlabs"
    FOLDER = "folder"
    PIPELINE = "pipeline"


def dub(
    videos: Inputs,
    out: Annotated[
        Path, typer.Option(help="The folder to write; one of an earlier run continues.", show_default=False)
    ],
    provider: Annotated[
        DubProvider,
        typer.Option(help="The ElevenLabs API (costs money), a folder of ready dubs, or a generator in Python."),
    ] = DubProvider.FOLDER,
    candidates: Annotated[
        Path | None, typer.Option(help="folder: the dubs of rain.mp4 are rain/*, rain_1.wav, rain_take2.mp4, …")
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(metavar="FILE.py:NAME", help="pipeline: a function generate(clip, seed) -> Clip.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, help="Dubs of a video. Default: 2; of a folder, all.", show_default=False),
    ] = None,
    reward: Annotated[str | None, typer.Option(help="How to pick, as for avreward rank. Default: overall.")] = None,
    rater: RaterNames = None,
    prompts: PromptsFile = None,
    describe: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns clip and text: what each should sound like. Default: prompts"),
    ] = None,
    categories: Annotated[
        Path | None, typer.Option(help="CSV with the columns clip and category, for results by category.")
    ] = None,
    credits: Annotated[
        float, typer.Option(help="elevenlabs: at most so many, over all runs with this folder.")
    ] = 20_000,
    calls: Annotated[int, typer.Option(help="elevenlabs: at most so many requests.")] = 1_000,
    base_url: Annotated[
        str | None, typer.Option(help="elevenlabs: another address of the API, such as a proxy's.", show_default=False)
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be made, and what it may cost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before money is spent.")] = False,
    isolate: Isolate = None,
    store: StorePath = None,
    no_store: NoStore = False,
    seed: Annotated[int, typer.Option(help="Of the pairs to ask people about.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Dub silent videos: make candidates, rate them, keep the best of each.

    OUT gets candidates/, best/, scores.csv and pairs.csv. Then `avreward ask OUT/pairs.csv` asks people whether they
    prefer the picks, as in AGAV-Rater's experiment with ElevenLabs. A stopped run continues.
    """
    from avreward.studies.dubbing import dub_videos

    _check(provider, candidates, pipeline, plan)
    chosen = reward_of(reward, raters_of(rater))
    asked = _videos(videos, prompts, categories)
    if provider is DubProvider.ELEVENLABS:
        _planned(asked, describe, n or 2, out, credits, plan, yes)
        if plan:
            return
    generate, count = _generator(provider, asked, out, candidates, pipeline, describe, n, credits, calls, base_url)
    total = sum(_count(generate, video, count) for video in asked)
    decode_apart(range(total), isolate)
    with progress("Dubbing", total) as step:
        done = dub_videos(
            asked, generate, chosen, out, count, store=store_of(store, no_store, chosen.raters), seed=seed, step=step
        )
    _print(done, len(asked), as_json)
    if not done.best:
        raise typer.Exit(NOTHING)
    if done.failed or done.stopped:
        raise typer.Exit(SOME_FAILED)


def _check(provider: DubProvider, candidates: Path | None, pipeline: str | None, plan: bool) -> None:
    """Refuse options that belong to another provider, or are missing."""
    for name, value, of in (
        ("--candidates", candidates, DubProvider.FOLDER),
        ("--pipeline", pipeline, DubProvider.PIPELINE),
    ):
        if value is None and provider is of:
            raise typer.BadParameter(f"--provider {of.value} needs {name}", param_hint="--provider")
        if value is not None and provider is not of:
            raise typer.BadParameter(f"it belongs to --provider {of.value}, not {provider.value}", param_hint=name)
    if plan and provider is not DubProvider.ELEVENLABS:
        raise typer.BadParameter("only --provider elevenlabs has a plan", param_hint="--plan")


def _videos(videos: list[Path], prompts: Path | None, categories: Path | None) -> list[SilentVideo]:
    from avreward.integrations import read_column
    from avreward.studies.dubbing import SilentVideo

    told = read_column(categories, "category") if categories else {}
    found = []
    for one in listed(videos, prompts):
        column = one.columns.get("category")
        category = told.get(one.path.name, told.get(one.path.stem, str(column) if column else ""))
        found.append(SilentVideo(one.path, one.prompt, category))
    if categories and not any(video.category for video in found):
        complain(f"{shown(categories)}: none of the categories names a video; put their names under clip")
    return found


def _planned(
    videos: list[SilentVideo], describe: Path | None, n: int, out: Path, credits: float, only: bool, yes: bool
) -> None:
    """Show and write the plan; ask before money is spent."""
    import pandas

    from avreward._csv_cells import write_csv
    from avreward.integrations import DescriptionTable, prompt_of
    from avreward.integrations.elevenlabs import CREDITS_A_SECOND
    from avreward.studies.dubbing import plan_of

    rows = plan_of(videos, DescriptionTable(describe) if describe else prompt_of, n)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "plan.csv") as part:
        write_csv(pandas.DataFrame(rows), part)
    most = sum(row["seconds_of_sound"] for row in rows) * CREDITS_A_SECOND
    requests = sum(row["requests"] for row in rows)
    for row in rows[:FAILURES]:
        note = row["problem"] or f"{row['seconds']:g} s: {row['text']}"
        stderr().print(f"  {row['video']}: {note}", markup=False, soft_wrap=True)
    if len(rows) > FAILURES:
        stderr().print(f"  and {len(rows) - FAILURES} more, in {out / 'plan.csv'}", markup=False, soft_wrap=True)
    text = f"{requests} requests, at most {most:g} credits (limit {credits:g}); known answers cost nothing"
    (stdout() if only else stderr()).print(text, markup=False, soft_wrap=True)
    if not only and not yes and requests:
        if not sys.stdin.isatty():
            raise typer.BadParameter("this costs money; add --yes where nobody can answer", param_hint="--provider")
        typer.confirm("Go on?", abort=True, err=True)


def _generator(
    provider: DubProvider, videos: list[SilentVideo], out: Path, candidates: Path | None, pipeline: str | None,
    describe: Path | None, n: int | None, credits: float, calls: int, base_url: str | None,
) -> tuple[Any, int | None]:  # fmt: skip
    """Return the provider, and the number of dubs; `None` for as many as there are."""
    if provider is DubProvider.FOLDER:
        from avreward.generators import FolderGenerator

        return FolderGenerator(candidates or out, [video.name for video in videos]), n
    if provider is DubProvider.PIPELINE:
        from avreward.raters._user_file import object_in_file

        found = object_in_file(str(pipeline))
        made = found() if isinstance(found, type) else found
        if not callable(made):
            raise typer.BadParameter(f"{pipeline}: expected a function generate(clip, seed)", param_hint="--pipeline")
        return made, n or 2
    from avreward.integrations import DescriptionTable, ElevenLabs, prompt_of

    words = DescriptionTable(describe) if describe else prompt_of
    return ElevenLabs(out / "answers", words, credits=credits, calls=calls, base_url=base_url), n or 2


def _count(generate: Any, video: SilentVideo, n: int | None) -> int:
    return len(generate.candidates(video.name)) if n is None else n


def _print(done: Dubbed, videos: int, as_json: bool) -> None:
    if as_json:
        found = {
            "folder": str(done.folder), "best": {name: str(path) for name, path in done.best.items()},
            "pairs": done.pairs, "failed": done.failed, "stopped": done.stopped,
        }  # fmt: skip
        print_json_text(found)
    else:
        stdout().print(f"{len(done.best)} of {videos} videos dubbed, in {done.folder / 'best'}", markup=False)
        if done.pairs:
            text = f"{done.pairs} pairs to ask people about: avreward ask {done.folder / 'pairs.csv'}"
            stdout().print(text, markup=False, soft_wrap=True)
    if done.stopped:
        complain(f"stopped: {done.stopped}; run the command again to continue")
    for name, why in list(done.failed.items())[:FAILURES]:
        complain(f"{name}: {why}")
    if len(done.failed) > FAILURES:
        complain(f"{len(done.failed) - FAILURES} more failed")
