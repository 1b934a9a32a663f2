"""One ranking for `rank` and `demo`: the table, JSON, the best file, the page."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.cli._common import cell, print_json_text, progress, stderr, stdout
from avreward.errors import AvrewardError

if TYPE_CHECKING:
    from rich.table import Table

    from avreward.audit.attribution import Attribution
    from avreward.cli._groups import GroupedRanking
    from avreward.clip import Clip
    from avreward.raters.scores import Dimension
    from avreward.rewards.base import Reward
    from avreward.selection._selection import Selection

WIDE = 110  # columns from which a level is beside its number, not under it
_COLOURS = {"bad": "red", "poor": "dark_orange", "fair": "yellow", "good": "green", "excellent": "cyan"}


@dataclass(frozen=True)
class Ranking:
    """The result of rating some candidates.

    Attributes:
        names: of the candidates that could be judged, in the order given.
        picked: their ranking; `picked.missing` are those without a reward.
        failed: name of each file that could not be judged → why.
        reward: what they were ranked by.
        notes: what a reader must know about the reward on these clips.
        wall_s: what opening, decoding and judging took.
    """

    names: list[str]
    picked: Selection
    failed: dict[str, str]
    reward: Reward
    notes: list[str]
    wall_s: float

    @property
    def missing(self) -> dict[str, str]:
        """Name of each judged candidate that is not ranked → why."""
        return {self.names[i]: why for i, why in self.picked.missing.items()}

    @property
    def complete(self) -> bool:
        """Whether every candidate is ranked."""
        return not self.failed and not self.picked.missing


def print_table(ranking: Ranking, page: Path | None = None) -> None:
    """Print the ranking for a person, then what is missing and what was not judged."""
    out = stdout()
    out.print(_table(ranking, wide=out.width >= WIDE))
    out.print(f"Reward: {cell(repr(ranking.reward))}")
    for line in [*_absent(ranking), *(f"{name}: not ranked: {why}" for name, why in ranking.missing.items())]:
        out.print(cell(line), style="yellow", soft_wrap=True)
    if len({frozenset(ranking.picked.rewards.basis[i]) for i in ranking.picked.order}) > 1:
        warning = "--mixed: these rewards are made of different dimensions; fewer dimensions can make a higher number"
        out.print(warning, style="yellow", soft_wrap=True)
    for line in ranking.notes:
        out.print(cell(line), style="dim", soft_wrap=True)
    if page is not None:
        out.print(f"Report: {cell(str(page))}", soft_wrap=True)


def _table(ranking: Ranking, wide: bool) -> Table:
    from rich import box
    from rich.table import Table

    from avreward.report.build import label_of, own_dimension, shown

    picked, reward = ranking.picked, ranking.reward
    own = own_dimension(reward)
    columns = [pair for pair in shown(reward) if pair != own]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0) if wide else 0)
    table.add_column("", justify="right")
    table.add_column("Candidate", overflow="fold", min_width=9)
    table.add_column("Reward", justify="right")
    for pair in columns:
        label = label_of(*pair, reward).replace("_", " ")
        table.add_column(cell(label), justify="right", min_width=max(map(len, label.split())))
    names = short_names(ranking.names)
    between = " " if wide else "\n"
    for place, i in enumerate(picked.order, 1):
        cells = [_number(float(picked.rewards.values[i]), own[1] if own else None)]
        cells += [_cell(picked, i, rater.name, dimension) for rater, dimension in columns]
        style = "bold" if place == 1 and len(picked.order) > 1 else None
        table.add_row(str(place), cell(names[i]), *(between.join(cell) for cell in cells), style=style)
    return table


def reward_as_json(reward: Reward) -> dict[str, Any]:
    """Return what JSON says about the reward of a ranking."""
    raters = {rater.name: rater.fingerprint for rater in reward.raters}
    return {"reward": repr(reward), "fingerprint": reward.fingerprint, "raters": raters}


def candidates_as_json(ranking: Ranking) -> list[dict[str, Any]]:
    """Return what JSON says about the ranked candidates, best first."""
    picked = ranking.picked
    sigma = picked.rewards.sigma
    return [
        {
            "rank": place,
            "clip": ranking.names[i],
            "reward": float(picked.rewards.values[i]),
            "sigma": None if sigma is None or not bool(sigma[i].isfinite()) else float(sigma[i]),
            "basis": list(picked.rewards.basis[i]),
            **_scores(picked, i),
        }
        for place, i in enumerate(picked.order, 1)
    ]


def print_json(ranking: Ranking, page: Path | None = None, more: Mapping[str, Any] | None = None) -> None:
    """Print the ranking, and `more`, as JSON on standard output, and nothing else."""
    best = ranking.names[ranking.picked.best_index]
    told = {"best": best, "candidates": candidates_as_json(ranking), **(more or {})}
    write_json(told, ranking, ranking.failed | ranking.missing, page)


def write_json(
    told: Mapping[str, Any], ranking: Ranking | GroupedRanking, failed: Mapping[str, str], page: Path | None
) -> None:
    """Write what is `told` about rankings, between their reward and what `failed`, to standard output."""
    whole = {
        **reward_as_json(ranking.reward),
        **told,
        "failed": [{"clip": name, "reason": why} for name, why in failed.items()],
        "notes": ranking.notes,
        "report": str(page) if page is not None else None,
        "seconds": round(ranking.wall_s, 3),
    }
    print_json_text(whole)


def write_page(
    ranking: Ranking,
    path: Path,
    copy_media: bool = False,
    captions: Mapping[str, str] | None = None,
    attributions: Mapping[int, Attribution] | None = None,
) -> Path:
    """Write the page of a ranking; `captions` maps a candidate's name to a line about it."""
    from avreward.report.build import Details, write_report
    from avreward.report.data import FailedFile

    with progress("Report", len(ranking.picked.order)) as step:
        details = Details(
            names=short_names(ranking.names),
            failures=[FailedFile(name, why) for name, why in ranking.failed.items()],
            settings={"Command": shlex.join(["avreward", *sys.argv[1:]])},
            captions=captions or {},
            wall_s=ranking.wall_s,
            copy_media=copy_media,
            step=step,
            attributions=attributions or {},
        )
        try:
            return write_report(path, ranking.picked, ranking.reward, details)
        except OSError as error:
            raise AvrewardError(
                f"{path}: can't be written ({error.strerror or error}); choose another place"
            ) from error


def save_clip(clip: Clip, path: Path) -> None:
    """Write a candidate: its own file as it is where the ending agrees, so that nothing is encoded twice."""
    from avreward._whole_files import whole_file
    from avreward.report._media import own_file

    own = own_file(clip)
    try:
        if own is not None and own.suffix.lower() == path.suffix.lower():
            with whole_file(path) as part:
                shutil.copyfile(own, part)
        else:
            clip.save(path)
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error
    stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)


def short_names(names: Sequence[str]) -> list[str]:
    """Return the names without the folder that all of them are in."""
    folders = {os.path.dirname(name) for name in names}
    if len(folders) == 1:
        return [os.path.basename(name) for name in names]
    return list(names)


def _number(value: float, dimension: Dimension | None) -> list[str]:
    """Return a number and, where there is one, its level, as rich markup."""
    from avreward.raters.scores import level_of
    from avreward.report.page import number

    if dimension is None or not dimension.calibrated:
        return [number(value)]
    level = level_of(value, dimension)
    return [number(value), f"[{_COLOURS[level]}]{level}[/]"]


def _cell(picked: Selection, i: int, rater: str, dimension: Dimension) -> list[str]:
    from avreward.report.page import ABSENT

    scores = picked.rewards.scores[rater]
    column = scores.column(dimension.name)
    return _number(float(scores.values[i, column]), dimension) if scores.present[i, column] else [ABSENT]


def _scores(picked: Selection, i: int) -> dict[str, Any]:
    from avreward.raters.scores import as_row, level_of

    values: dict[str, float] = {}
    levels: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for rater, scores in picked.rewards.scores.items():
        for name, value in as_row(scores, i).items():
            values[f"{rater}.{name}"] = value
            dimension = scores.dimensions[scores.column(name)]
            if dimension.calibrated:
                levels[f"{rater}.{name}"] = level_of(value, dimension)
        reasons |= {f"{rater}.{name}": why for name, why in scores.reasons[i].items()}
    return {"scores": values, "levels": levels, "missing": reasons}


def _absent(ranking: Ranking) -> Iterator[str]:
    """Return the shown dimensions that ranked candidates lack and why, in one line for those that lack the same."""
    from avreward.report.build import shown

    lacking: dict[tuple[str, str], list[str]] = {}
    for i in ranking.picked.order:
        why: dict[str, list[str]] = {}
        for rater, dimension in shown(ranking.reward):
            scores = ranking.picked.rewards.scores[rater.name]
            if not scores.present[i, scores.column(dimension.name)]:
                reason = scores.reasons[i].get(dimension.name, "no reason given")
                why.setdefault(reason, []).append(dimension.name.replace("_", " "))
        for reason, dimensions in why.items():
            lacking.setdefault((", ".join(dimensions), reason), []).append(ranking.names[i])
    for (listed, reason), names in lacking.items():
        who = "all candidates" if len(names) == len(ranking.picked.order) > 1 else ", ".join(short_names(names))
        yield f"{who}: no {listed}: {reason}"
