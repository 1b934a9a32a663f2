"""The clips that a command is about: its arguments, and the prompts in `--prompts`."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import RESOURCES, complain, shown

if TYPE_CHECKING:
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.table_reader import ScoredTable

INPUTS = (
    'Media files, folders (with their subfolders), quoted patterns such as `"dubs/*/*.mp4"`, manifests (CSV, TSV, '
    "JSONL, JSON, Parquet with the columns clip and prompt), or - for a path a line on standard input."
)
PROMPTS = "CSV, TSV, JSONL or JSON with the columns clip and prompt, or {clip: prompt}: what each clip was asked for."

TABLE = "A scored table (.parquet, .jsonl, .csv), or clips, which are scored first: "

Inputs = Annotated[list[Path], typer.Argument(help=INPUTS, show_default=False)]
TableOrClips = Annotated[list[Path], typer.Argument(metavar="TABLE|CLIPS", help=TABLE + INPUTS, show_default=False)]
PromptsFile = Annotated[Path | None, typer.Option("--prompts", help=PROMPTS)]
Isolate = Annotated[
    bool | None,
    typer.Option(
        "--isolate/--no-isolate",
        help="Decode files in processes of their own, so that one that crashes the decoder, or takes too long or too "
        "much memory, does not end the run; signals rates there, too. By default for more than 32 files.",
        show_default=False,
    ),
]
GroupRule = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="parent|prompt|video|stem|COLUMN",
        help="What clips of one group share: the folder, the prompt, the video track, the file's name without its "
        "ending, or the value in a column of the manifest.",
        show_default=False,
    ),
]


def listed(inputs: Sequence[Path], prompts: Path | None = None) -> list[ListedClip]:
    """Return the clips that `inputs` name, with their prompts from a manifest or from the file `prompts`.

    Says on standard error how many clips have none in `prompts`. A clip with two different prompts is a usage error.
    """
    from avreward.scoring.inputs import list_clips

    clips = list_clips(inputs)
    asked = prompts_of([clip.path for clip in clips], prompts)
    found = []
    for clip in clips:
        prompt = asked.get(clip.path, clip.prompt)
        if clip.prompt not in (None, prompt):
            problem = f"{prompts}: another prompt for {shown(clip.path)} than in its manifest; keep one of them"
            raise typer.BadParameter(problem, param_hint="--prompts")
        found.append(clip if prompt == clip.prompt else replace(clip, prompt=prompt))
    return found


def decode_apart(files: Sized, isolate: bool | None) -> None:
    """Decode in processes of their own until the command ends, if `isolate` says so or there are many files.

    Args:
        files: those that the command decodes.
        isolate: the option `Isolate`.
    """
    from avreward.media._isolated.workers import isolated_for

    RESOURCES.enter_context(isolated_for(files, isolate))


def read_scored(inputs: Sequence[Path], own: bool = False) -> ScoredTable | None:
    """Return the scored table that is the only input; `None` for clips, and for a manifest without scores.

    Args:
        inputs: as given.
        own: whether any column of numbers counts as scores, as in tables of other software; else ``RATER.DIMENSION``.

    Raises:
        AvrewardError: if it is neither a table that can be read nor a manifest; it says what is wrong with the list.
    """
    from avreward.errors import AvrewardError
    from avreward.scoring._manifest import read_manifest
    from avreward.scoring.inputs import is_pattern
    from avreward.scoring.table_reader import read_table
    from avreward.scoring.table_writer import ENDINGS

    if len(inputs) != 1 or inputs[0].suffix.lower() not in ENDINGS or inputs[0].is_dir() or is_pattern(str(inputs[0])):
        return None
    try:
        table = read_table(inputs[0])
    except AvrewardError as error:
        if inputs[0].suffix.lower() == ".parquet" and "can't be read" in str(error):
            raise
        read_manifest(inputs[0])
        return None
    scores = [name for name in table.scores if own or "." in name]
    return table if scores or (own and table.has("reward")) else None


def keep_inputs(out: Path | None, inputs: Sequence[Path | None], option: str = "--out") -> None:
    """Check that an output is none of the files that the command reads."""
    if out is not None and out.resolve() in {path.resolve() for path in inputs if path is not None}:
        raise typer.BadParameter(f"{out} is one of the inputs; choose another name", param_hint=option)


def prompts_of(clips: Sequence[Path], file: Path | None) -> dict[Path, str]:
    """Clip → prompt, by the path as it was given or else by the file's name alone.

    Says on standard error how many clips have none. A name that several clips have is a usage error: their prompts may
    differ.
    """
    if file is None:
        return {}
    from avreward.scoring._manifest import read_prompts

    asked = {str(Path(clip)): prompt for clip, prompt in read_prompts(file).items()}
    keys = {clip: str(clip) if str(clip) in asked else clip.name for clip in clips}
    named: dict[str, Path] = {}
    for clip, key in keys.items():
        if key in asked and named.setdefault(key, clip) != clip:
            problem = f"{file}: {key} may be {shown(named[key])} or {shown(clip)}; write their paths in the column clip"
            raise typer.BadParameter(problem, param_hint="--prompts")
    found = {clip: asked[key] for clip, key in keys.items() if key in asked}
    if not found:
        remedy = "its column clip takes a path as given, or a file's name"
        complain(f"{shown(file)}: none of the prompts names a clip; {remedy}")
    elif lacking := len(keys) - len(found):
        complain(f"{shown(file)}: {lacking} of {len(keys)} clips have no prompt there")
    return found
