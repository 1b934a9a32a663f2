"""The page of `avreward compare`: systems, their differences, and clips to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from avreward._display import counted
from avreward._locks import claimed
from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.evaluation._system_words import amount, p_text, signed, span
from avreward.evaluation.fine_tune import FineTuneVerdict
from avreward.evaluation.systems import SystemComparison
from avreward.report._media import media_of
from avreward.report.data import PlayableMedia
from avreward.report.page import HERE, _policy, coordinate, environment, write_whole


@dataclass(frozen=True)
class Shown:
    """A clip to look at."""

    system: str
    value: float
    name: str
    media: PlayableMedia


@dataclass(frozen=True)
class Example:
    """A group to look at: why, and one clip of each of two systems."""

    group: str
    title: str
    clips: tuple[Shown, ...]


@dataclass(frozen=True)
class Whisker:
    """An interval drawn on a scale from 0 to 100: ends, middle and the place of 0."""

    low: str
    high: str
    middle: str
    zero: str


def render_comparison(
    found: SystemComparison,
    source: str,
    page: Path,
    verdicts: Sequence[FineTuneVerdict] = (),
    copy_media: bool = False,
) -> str:
    """Return the page as HTML; clips that browsers can't play are written beside `page`.

    Args:
        found: see `compare_systems`.
        source: the name of the table.
        page: where it will be.
        verdicts: on fine-tunes.
        copy_media: copy the clips beside the page, so that the folder can be shared.
    """
    from importlib.metadata import version

    from markupsafe import Markup

    names = ("page.css", "compare.css")
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in names)
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            found=found,
            source=source,
            verdicts=verdicts,
            sentences=[one.text for one in verdicts] or found.verdicts,
            size=size_of(found),
            examples=_examples(found, page, verdicts, copy_media),
            whiskers=_whiskers(found),
            strengths=_strengths(found),
            amount=amount,
            signed=signed,
            span=span,
            p_text=p_text,
            percent=percent,
            infinite=math.inf,
            policy=_policy(script),
            version=version("avreward"),
            style=Markup(style),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704
        )
    )


def write_comparison(
    found: SystemComparison,
    source: str,
    path: str | PathLike[str],
    verdicts: Sequence[FineTuneVerdict] = (),
    copy_media: bool = False,
) -> Path:
    """Write the page of a comparison of systems atomically; see `avreward.evaluation.compare_systems`.

    Args:
        found: the comparison.
        source: the name of the table.
        path: of the page.
        verdicts: see `avreward.evaluation.judge_fine_tune` (*optional*).
        copy_media: copy the clips beside the page, so that the folder can be shared.

    Returns:
        The path of the page.

    Raises:
        OSError: if the page can't be written.
        OutputInUse: if another run is writing it.
    """
    place = Path(path)
    with claimed(place):
        return write_whole(place, render_comparison(found, source, place, verdicts, copy_media))


def size_of(found: SystemComparison) -> str:
    """Return how much was compared, in words."""
    clips, systems = counted(found.clips, "clip"), counted(len(found.systems), "system")
    return f"{clips} of {systems} in {counted(found.groups, 'group')} by {found.rule}"


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.625), percent(float("nan"))
    ('62 %', '–')
    """
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def _whiskers(found: SystemComparison) -> dict[tuple[str, str, str], Whisker]:
    """Return dimension, first, second → the interval of the difference, on one scale for all pairs of a dimension."""
    drawn = {}
    for dimension in found.dimensions:
        pairs = [one for one in found.differences if one.dimension == dimension]
        ends = [v for one in pairs for v in (one.low, one.high, one.difference) if math.isfinite(v)]
        for one in pairs:
            at = _whisker(one.low, one.high, one.difference, min([0.0, *ends]), max([0.0, *ends]))
            drawn[dimension, one.first, one.second] = at
    return drawn


def _strengths(found: SystemComparison) -> dict[str, dict[str, Whisker]]:
    """Return dimension → system → the interval of its strength."""
    drawn = {}
    for dimension in found.dimensions:
        scores = [one for one in found.scores if one.dimension == dimension and math.isfinite(one.strength)]
        ends = [v for one in scores for v in (one.strength_low, one.strength_high)]
        drawn[dimension] = {
            one.system: _whisker(
                one.strength_low, one.strength_high, one.strength, min([0.0, *ends]), max([0.0, *ends])
            )
            for one in scores
        }
    return drawn


def _whisker(low: float, high: float, middle: float, least: float, most: float) -> Whisker:
    margin = 0.05 * (most - least) or 1.0

    def place(value: float) -> str:
        share = (value - least + margin) / (most - least + 2 * margin) if math.isfinite(value) else float(value > 0)
        return coordinate(100 * share)

    return Whisker(place(low), place(high), place(middle), place(0.0))


def _examples(
    found: SystemComparison, page: Path, verdicts: Sequence[FineTuneVerdict], copy_media: bool
) -> list[Example]:
    """Return the groups in which the best two systems (or after and before) differ most either way, and least."""
    dimension = found.dimensions[0]
    first, second = (verdicts[0].after, verdicts[0].before) if verdicts else found.systems[:2]
    rows = found.rows
    cells = rows.cells(dimension)
    gap = cells[:, rows.systems.index(first)] - cells[:, rows.systems.index(second)]
    gap = -gap if dimension in found.lower else gap
    both = np.flatnonzero(np.isfinite(gap))
    order = both[np.argsort(-gap[both], kind="stable")]
    if not len(order):
        return []
    close = int(order[np.abs(gap[order]).argmin()])
    chosen: dict[int, str] = {}
    if gap[order[0]] > 0:
        chosen[int(order[0])] = f"{first} is furthest ahead"
    if gap[order[-1]] < 0:
        chosen[int(order[-1])] = f"{second} is furthest ahead"
    chosen.setdefault(close, "The two are closest")
    return [
        Example(
            rows.groups[group],
            title,
            tuple(_clip(found, dimension, group, s, page, copy_media) for s in (first, second)),
        )
        for group, title in chosen.items()
    ]


def _clip(found: SystemComparison, dimension: str, group: int, system: str, page: Path, copy_media: bool) -> Shown:
    """Return the clip of a system in a group whose score is nearest to its mean there."""
    rows = found.rows
    mine = np.flatnonzero((rows.group == group) & (rows.system == rows.systems.index(system)))
    scores = rows.values[dimension][mine]
    mine, scores = mine[np.isfinite(scores)], scores[np.isfinite(scores)]
    at = int(np.abs(scores - scores.mean()).argmin())
    name = rows.clips[mine[at]]
    try:
        clip = Clip.open(name)
    except AvrewardError as error:
        return Shown(system, float(scores[at]), name, PlayableMedia("", "video", problem=f"Nothing to play: {error}"))
    return Shown(system, float(scores[at]), name, media_of(clip, page, f"{group}-{system}", copy_media))
