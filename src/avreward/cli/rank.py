"""`avreward rank`: the candidates, best first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import (
    SOME_FAILED,
    RaterNames,
    complain,
    hold,
    raters_of,
    reward_of,
    shown,
    writable,
    wrong_reward,
)
from avreward.cli._inputs import INPUTS, GroupRule, Isolate, PromptsFile, decode_apart, keep_inputs, listed, read_scored
from avreward.cli._store import NoStore, RetryMissing, StorePath, check_store, store_of

if TYPE_CHECKING:
    from avreward.clip import Clip
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.store.store import Store


def rank(
    clips: Annotated[
        list[Path],
        typer.Argument(
            metavar="CLIPS|TABLE",
            help=f"The candidates (with --video, audio files): {INPUTS} A scored table is ranked by its scores.",
            show_default=False,
        ),
    ],
    video: Annotated[
        Path | None,
        typer.Option(help="The silent video that the audio files belong to; they are laid over it in memory."),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            help='How to rank: an expression, such as "0.4 * audio_quality + 0.6 * av_consistency", or the YAML file '
            "or folder of a reward. Default: overall."
        ),
    ] = None,
    rater: RaterNames = None,
    prompt: Annotated[str | None, typer.Option(help="What the candidates were asked for.")] = None,
    prompts: PromptsFile = None,
    group_by: GroupRule = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Rank candidates with different tracks (with and without audio) together.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the best candidate here, with its audio.")] = None,
    best_dir: Annotated[
        Path | None,
        typer.Option(help="Write the best candidate of each group into this folder, which is made, and best.csv."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write the scored table, with groups and ranks: .csv, .parquet or .jsonl.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page to watch: candidates side by side, with audio; groups with search."),
    ] = None,
    why: Annotated[
        bool,
        typer.Option(
            "--why",
            help="Say why the best one won: differences to the runner-up and to the mean; with --report also the "
            "moments and regions that raise or lower the reward of the two.",
        ),
    ] = False,
    copy_media: Annotated[
        bool,
        typer.Option("--copy-media", help="Copy the media beside the report, so that both can be sent to somebody."),
    ] = False,
    store: StorePath = None,
    no_store: NoStore = False,
    retry_missing: RetryMissing = False,
    isolate: Isolate = None,
) -> None:
    """Rank candidates, best first.

    `avreward rank clips/*.mp4` ranks videos,
    `avreward rank --video silent.mp4 dub1.wav dub2.wav` audio for one video, and
    `avreward rank dubs --group-by parent --best-dir best` finds the best file of each folder in dubs.
    A scored table is ranked by its scores, also by another `--reward`, and nothing is rated.
    """
    from avreward.scoring._grouping import names_column
    from avreward.scoring._score_table import check_seeds
    from avreward.scoring.table_writer import ENDINGS

    check_store(store, no_store)
    scores = None if rater or video or prompts or retry_missing else read_scored(clips)
    given = listed(clips, prompts)
    found = {shown(one.path): one for one in _once(given, prompt)}
    endings = (".mp4", ".mkv", ".wav", *({one.path.suffix.lower() for one in found.values()} if video is None else ()))
    writable(out, "--out", endings)
    writable(report, "--report", (".html", ".htm"))
    writable(table, "--table", ENDINGS)
    keep_inputs(table, [*clips, prompts], "--table")
    inputs = [*(one.path for one in found.values()), *([video] if video else [])]
    if out is not None and out.resolve() in {path.resolve() for path in inputs}:
        raise typer.BadParameter(f"{out} is one of the inputs; choose another name", param_hint="--out")
    if out is not None and group_by is not None:
        raise typer.BadParameter(
            f"{out} is one file; name a folder: --best-dir {out.parent / 'best'}", param_hint="--out"
        )
    if best_dir is not None:
        _outside(best_dir, clips, inputs)
        hold(best_dir)
    if group_by is not None:
        names_column(found.values(), group_by)  # before anything is rated
    if table is not None:
        check_seeds(list(found.values()))
    from avreward.cli import _groups, _ranking, _why
    from avreward.cli._rating import different_content, rank_table, ranking_of, rate, rated_in

    if scores is not None:
        with wrong_reward(reward):
            rated = rated_in(scores, found, reward)
    else:
        chosen = reward_of(reward, raters_of(rater))
        decode_apart(found, isolate)
        kept = store_of(store, no_store, chosen.raters)
        rated = rate(_openers(found, video, kept), chosen, kept, retry_missing)
    groups = None
    if group_by is not None:
        groups = _groups.grouped(found, rated, group_by, mixed, scores)
        rankings = list(groups.groups.values())
        whys = {name: _why.why_of(one) for name, one in groups.groups.items() if why}
        if report is not None:
            drawn = {name: _why.attributions_of(one) for name, one in groups.groups.items() if why}
            _groups.write_pages(groups, report, copy_media, drawn)
        if as_json:
            _groups.print_json(groups, report, {name: _why.told(whys, name) for name in whys})
        else:
            _groups.print_table(groups, report)
            _why.print_sentences(_groups.labels(groups), whys)
        if best_dir is not None:  # last: if a format can't hold the best, the ranking is not lost
            _groups.save_best(groups, best_dir)
        complete = groups.complete
    else:
        if video is None and (line := different_content(found, rated)):
            complain(line)
        single = ranking_of(rated, mixed)
        rankings, complete = [single], single.complete
        whys = {"": _why.why_of(single)} if why else {}
        if report is not None:
            attributions = _why.attributions_of(single) if why else {}
            _ranking.write_page(single, report, copy_media, attributions=attributions)
        if as_json:
            _ranking.print_json(single, report, _why.told(whys, ""))
        else:
            _ranking.print_table(single, report)
            _why.print_why(whys.get(""))
        if out is not None:
            _ranking.save_clip(single.picked.best, out)
        if best_dir is not None:
            name = Path(single.names[single.picked.best_index]).stem
            _groups.save_sources(best_dir, {"": (_groups.save_in(best_dir, single, name), single)})
    if table is not None:
        rank_table(table, found, rated, rankings, groups, scores)
    if not complete:
        raise typer.Exit(SOME_FAILED)


def _once(found: Sequence[ListedClip], prompt: str | None) -> list[ListedClip]:
    """Return the candidates with `prompt` where they have none; one that is given twice is a usage error."""
    from dataclasses import replace

    counts = Counter(one.path for one in found)
    twice = min((path for path, count in counts.items() if count > 1), default=None)
    if twice is not None:
        raise typer.BadParameter(f"{twice} is given twice; name each candidate once", param_hint="CLIPS")
    return [replace(one, prompt=prompt) if one.prompt is None else one for one in found]


def _outside(folder: Path, inputs: Sequence[Path], candidates: Sequence[Path]) -> None:
    """Check that the folder of the best is not among the candidates: the next run would rank its files too."""
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder}: this is a file; name a folder", param_hint="--best-dir")
    own = folder.resolve()
    searched = [Path(re.split(r"[*?[]", str(path), maxsplit=1)[0] or ".") for path in inputs if str(path) != "-"]
    searched = [path.resolve() for path in searched if path.is_dir()]
    if any(own.is_relative_to(place) for place in searched) or own in {path.resolve().parent for path in candidates}:
        problem = f"{folder}: it is where the candidates are, and the next run would rank its files too; name another"
        raise typer.BadParameter(problem, param_hint="--best-dir")


def _openers(found: Mapping[str, ListedClip], video: Path | None, store: Store | None) -> dict[str, Callable[[], Clip]]:
    from avreward.clip import Clip

    opened = Clip.open if store is None else store.open
    if video is None:
        return {name: partial(opened, one.path, prompt=one.prompt, texts=one.texts) for name, one in found.items()}
    prompts = dict.fromkeys(one.prompt for one in found.values())
    silent = {prompt: opened(video, prompt=prompt) for prompt in prompts}
    if not next(iter(silent.values())).has_video:
        raise typer.BadParameter(f"{video} has no video track; name another file", param_hint="--video")
    return {name: partial(_dubbed, silent[one.prompt], one) for name, one in found.items()}


def _dubbed(silent: Clip, dub: ListedClip) -> Clip:
    from avreward.clip import Clip

    return silent.with_audio(Clip.open(dub.path)).with_prompt(dub.prompt, dub.texts)
