"""Candidates that a generator makes for `avreward leaderboard --generator`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.cli._common import complain, progress
from avreward.errors import ArgumentError, AvrewardError, Described, describe

if TYPE_CHECKING:
    from avreward.clip import Clip
    from avreward.generators import Condition

STEPS = 20
"""Denoising steps of a `FlowGenerator`."""
Make = Callable[["Condition", int], "Clip"]


def made_by(generator: str, conditions: str, count: int, folder: Path) -> tuple[list[Clip], list[str], list[str]]:
    """Return the clips that a generator makes, the group of each, and the names of those that it did not make.

    Args:
        generator: ``FILE.py:NAME``; the file's code runs.
        conditions: prompts or clips, see `read_conditions`.
        count: candidates of each condition; seeds are 0, 1, …
        folder: where they are written, without loss.

    Raises:
        ArgumentError: if it is not a generator, or there are no conditions.
    """
    from avreward.clip import Clip
    from avreward.training.tuning._parts import prompt_of, read_conditions

    make, listed = _maker(generator), read_conditions(conditions, {})
    clips: list[Clip] = []
    groups: list[str] = []
    failed: list[str] = []
    with progress("Making clips", len(listed) * count) as step:
        for number, condition in enumerate(listed):
            source = getattr(condition.clip, "path", None)
            group = f"{number:04d}" if source is None else f"{number:04d}_{source.stem}"
            for seed in range(count):
                name = f"{group}_{seed}"
                step(name)
                try:
                    made = make(condition, seed)
                    path = folder / f"{name}{'.mkv' if made.has_video else '.wav'}"
                    made.save(path)
                    clips.append(Clip.open(path, prompt=prompt_of(condition) or None, texts=made.texts))
                except ArgumentError:
                    raise
                except Exception as error:  # the user's own code
                    failed.append(name)
                    complain(f"{generator}: candidate {seed} of {group}: {describe(error)}")
                    continue
                groups.append(group)
    if not clips:
        raise AvrewardError(f"{generator}: it made none of {len(failed)} clips; correct it")
    return clips, groups, failed


def _maker(text: str) -> Make:
    """Return a function of a condition and a seed, for whatever generator the file holds or makes."""
    from avreward.generators import Cost, FlowGenerator, Noise, as_sampler
    from avreward.raters._user_file import object_in_file
    from avreward.training.tuning._samples import made_clip

    found: Any = object_in_file(text, "a generator: generate(clip, seed) -> Clip, or a function that makes one")
    if isinstance(found, type) or (inspect.isfunction(found) and not _asked(found)):
        try:
            found = found()
        except Exception as error:  # the user's own code
            raise AvrewardError(f"{text}: it cannot be made ({describe(error)}); correct it") from error
    if isinstance(found, FlowGenerator):
        flow = found
        return lambda condition, seed: made_clip(flow, condition, seed, STEPS)
    try:
        sampler = as_sampler(found)
    except ArgumentError as error:
        expected = "generate(clip, seed) -> Clip, a FlowGenerator, a Sampler, a pipeline, or a function that makes one"
        raise ArgumentError("--generator", expected, Described(f"{text}, a {type(found).__name__}")) from error
    return lambda condition, seed: sampler.make(condition, [Noise.of(seed)], Cost())[0]


def _asked(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments without a default."""
    parameters = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in kinds]
