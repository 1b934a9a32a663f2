"""What people are asked in a study: clips, questions about them, and the answers that a page may send."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from avreward.errors import ArgumentError, Described
from avreward.studies.rating.dimensions import HIGH, LOW, RatedDimension

Mode = Literal["scores", "pairs", "soundtracks"]
MODES: tuple[Mode, ...] = ("scores", "pairs", "soundtracks")
FIRST, SECOND, TIE = "first", "second", "tie"
BEST, NONE = "best", "none"
TRAINING = "training: "  # begins the name of a question for practice
RELOAD = "reload the page"


@dataclass(frozen=True)
class RatedClip:
    """One clip of a study.

    Attributes:
        name: its path as it was listed, unique in the study.
        file: what a browser plays, relative to the study's folder; `None` where it can't be shown.
        kind: ``"video"`` (with or without audio) or ``"audio"``.
        group: what its candidates have in common: the prompt, the silent video.
        prompt: what it was made from, or empty.
        system: what made it, or empty.
        training: whether it is shown for practice: its answers count in nothing.
        width, height: of the video, in pixels.
        reason: why it can't be shown.
    """

    name: str
    file: str | None
    kind: str = "video"
    group: str = ""
    prompt: str = ""
    system: str = ""
    training: bool = False
    width: int = 16
    height: int = 9
    reason: str | None = None


@dataclass(frozen=True)
class RatingTask:
    """A question as one person sees it.

    Attributes:
        key: of the question in addresses; it can't be computed from names.
        place: in the person's order, from 1.
        clips: in the order shown.
        training: whether it is for practice.
        answer: what the person answered before, see `RatingStudy.record`; `None` for nothing.
    """

    key: str
    place: int
    clips: tuple[RatedClip, ...]
    training: bool
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RatingProgress:
    """How far a person is.

    Attributes:
        answered: number of questions answered, without those for practice.
        total: number of questions, without those for practice.
        today: number of questions first answered today.
        place: of the question to go on with; `None` where there is none.
        resting: whether the person has done enough for today.
        asked: number of questions shown so far, also those for practice.
        share: of the work that is done, 0 to 1.
    """

    answered: int
    total: int
    today: int
    place: int | None
    resting: bool
    asked: int
    share: float


@dataclass(frozen=True)
class RatingAnswer:
    """One stored answer.

    Attributes:
        person: the name.
        question: its name.
        clips: in the order shown.
        answer: see `RatingStudy.record`.
        seconds: that it took, where the page said so.
        at: when it was given, in seconds since 1970.
        changed: how often.
        training: whether it was for practice.
    """

    person: str
    question: str
    clips: tuple[str, ...]
    answer: Mapping[str, Any]
    seconds: float | None
    at: float
    changed: int
    training: bool


def questions(mode: Mode, clips: Sequence[RatedClip]) -> dict[str, tuple[RatedClip, ...]]:
    """Return what is asked of everyone: name of a question → its clips. Those for practice come first.

    >>> both = [RatedClip("a.mp4", "1.mp4", group="rain"), RatedClip("b.mp4", "2.mp4", group="rain")]
    >>> [list(questions(mode, both)) for mode in MODES]
    [['a.mp4', 'b.mp4'], ['a.mp4 / b.mp4'], ['rain']]
    """
    shown = sorted((clip for clip in clips if clip.file), key=lambda clip: not clip.training)
    if mode == "scores":
        return {f"{TRAINING if clip.training else ''}{clip.name}": (clip,) for clip in shown}
    groups: dict[tuple[bool, str], list[RatedClip]] = {}
    for clip in shown:
        groups.setdefault((not clip.training, clip.group), []).append(clip)
    several = {key: found for key, found in groups.items() if len(found) > 1}
    if mode == "soundtracks":
        return {f"{'' if main else TRAINING}{group}": tuple(found) for (main, group), found in several.items()}
    asked: dict[str, tuple[RatedClip, ...]] = {}
    for (main, _), found in several.items():
        # Practice meets each clip once.
        pairs = combinations(found, 2) if main else zip(found[::2], found[1::2], strict=False)
        asked |= {f"{'' if main else TRAINING}{pair_name(a.name, b.name)}": (a, b) for a, b in pairs}
    return asked


def pair_name(one: str, other: str) -> str:
    """Return the name of the question about two clips, in whatever order they are shown."""
    return " / ".join(sorted((one, other)))


def checked_answer(
    mode: Mode, dimensions: Sequence[RatedDimension], clips: Sequence[RatedClip], answer: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an answer in the form in which it is stored; raise `ArgumentError` for one that doesn't fit.

    It is clip → dimension → score where clips are rated on sliders; dimension → first, second or tie for two clips;
    ``best`` → clip or `None` for soundtracks of which one is chosen.
    """
    names = [one.name for one in dimensions]
    if mode == "pairs":
        if set(answer) != set(names) or not all(value in (FIRST, SECOND, TIE) for value in answer.values()):
            raise _wrong(f"first, second or tie for {', '.join(names)}", answer)
        return {name: answer[name] for name in names}
    if mode == "soundtracks" and not names:
        best = answer.get(BEST, "")
        if set(answer) != {BEST} or not (best is None or best in [clip.name for clip in clips]):
            raise _wrong("one of the soundtracks, or none", answer)
        return {BEST: best}
    if set(answer) != {clip.name for clip in clips}:
        raise _wrong("scores of the clips shown", answer)
    return {clip.name: _scores(names, answer[clip.name]) for clip in clips}


def _scores(names: Sequence[str], given: Any) -> dict[str, float]:
    if not isinstance(given, Mapping) or set(given) != set(names):
        raise _wrong(f"a score for {', '.join(names)}", given)
    for value in given.values():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not LOW <= value <= HIGH:
            raise _wrong(f"scores from {LOW:g} to {HIGH:g}", given)
    return {name: round(float(given[name]), 1) for name in names}


def _wrong(expected: str, got: Any) -> ArgumentError:
    return ArgumentError("answer", expected, Described(str(got)), RELOAD)
