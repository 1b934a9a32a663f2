"""Which prompt a file of prompts (`--prompts`) has for which clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from avreward.cli._common import complain, shown


def prompts_of(clips: Sequence[Path], file: Path | None) -> dict[Path, str]:
    """Clip → prompt, by the path as it was given or else by the file's name alone.

    Says on standard error how many clips have none. A name that several clips have is a usage error: their prompts may
    differ.
    """
    if file is None:
        return {}
    from avreward.scoring.table_writer import read_prompts

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
