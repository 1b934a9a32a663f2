"""`avreward rank`: the candidates, best first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import SOME_FAILED, RaterNames, raters_of, reward_of, shown, writable

if TYPE_CHECKING:
    from avreward.clip import Clip


def rank(
    clips: Annotated[
        list[Path], typer.Argument(help="The candidates: media files; with --video, sound files.", show_default=False)
    ],
    video: Annotated[
        Path | None, typer.Option(help="The silent video that the sounds belong to; they are laid over it in memory.")
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
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Rank candidates with different tracks (with and without sound) together.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the best candidate here, with its sound.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page to watch: candidates side by side, with sound.")
    ] = None,
    copy_media: Annotated[
        bool,
        typer.Option("--copy-media", help="Copy the media beside the report, so that both can be sent to somebody."),
    ] = False,
) -> None:
    """Rank candidates, best first.

    `avreward rank clips/*.mp4` ranks videos,
    `avreward rank --video silent.mp4 dub1.wav dub2.wav` sounds for one video.
    """
    endings = (".mp4", ".mkv", ".wav", *({path.suffix.lower() for path in clips} if video is None else ()))
    writable(out, "--out", endings)
    writable(report, "--report", (".html", ".htm"))
    if out is not None and out.resolve() in {path.resolve() for path in [*clips, *([video] if video else [])]}:
        raise typer.BadParameter(f"{out} is one of the inputs; choose another name", param_hint="--out")
    twice = sorted({str(path) for path in clips if clips.count(path) > 1})
    if twice:
        raise typer.BadParameter(f"{twice[0]} is given twice; name each candidate once", param_hint="CLIPS")
    chosen = reward_of(reward, raters_of(rater))

    from avreward.cli import _ranking as ranking

    result = ranking.run(_candidates(clips, video, prompt), chosen, mixed)
    if report is not None:
        ranking.write_page(result, report, copy_media)
    (ranking.print_json if as_json else ranking.print_table)(result, report)
    if out is not None:  # last: if the format can't hold the best, the ranking is not lost
        ranking.save_clip(result.picked.best, out)
    if not result.complete:
        raise typer.Exit(SOME_FAILED)


def _candidates(paths: list[Path], video: Path | None, prompt: str | None) -> dict[str, Callable[[], Clip]]:
    from avreward.clip import Clip

    if video is None:
        return {shown(path): partial(Clip.open, path, prompt=prompt) for path in paths}
    picture = Clip.open(video, prompt=prompt)
    if not picture.has_video:
        raise typer.BadParameter(f"{video} has no picture; name a video", param_hint="--video")
    return {shown(path): partial(_dubbed, picture, path) for path in paths}


def _dubbed(picture: Clip, sound: Path) -> Clip:
    from avreward.clip import Clip

    return picture.with_audio(Clip.open(sound))
