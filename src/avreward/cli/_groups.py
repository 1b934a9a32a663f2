"""Rankings of groups for `rank --group-by`: the winners' table, JSON, the pages, the folder of the best."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.cli import _ranking
from avreward.cli._common import cell, progress, stdout
from avreward.errors import AvrewardError

if TYPE_CHECKING:
    from rich.table import Table

    from avreward.audit.attribution import Attribution
    from avreward.cli._ranking import Ranking
    from avreward.cli._rating import RatedClips
    from avreward.report._groups_page import GroupView
    from avreward.rewards.base import Reward
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.table_reader import ScoredTable


@dataclass(frozen=True)
class GroupedRanking:
    """A ranking of each group.

    Attributes:
        by: what the clips of a group share.
        column: whether a column of that name says it.
        group_of: name of each rated clip → its group, or `None`.
        groups: name of each group → its ranking, in the order of first appearance.
        failed: name of each clip that is in no ranking → why.
        reward: what they are ranked by.
        notes: what a reader must know about the reward on these clips.
        wall_s: what opening, decoding and judging took.
    """

    by: str
    column: bool
    group_of: Mapping[str, str | None]
    groups: Mapping[str, Ranking]
    failed: Mapping[str, str]
    reward: Reward
    notes: list[str]
    wall_s: float

    @property
    def complete(self) -> bool:
        """Whether every candidate is ranked."""
        return not self.failed and all(one.complete for one in self.groups.values())

    @property
    def missing(self) -> dict[str, str]:
        """Name of each clip that is not ranked → why."""
        return {**self.failed, **{name: why for one in self.groups.values() for name, why in one.missing.items()}}


def grouped(
    listed: Mapping[str, ListedClip],
    rated: RatedClips,
    by: str,
    mixed: bool = False,
    scores: ScoredTable | None = None,
) -> GroupedRanking:
    """Rank the rated clips of each group; a clip without a group, and a group without a reward, are listed as failed.

    Clips of the table `scores` have the groups that it was formed with, if that was by the same rule.

    Raises `AvrewardError` where no group can be ranked.
    """
    from avreward.cli._rating import ranking_of
    from avreward.rewards.results import MissingScore
    from avreward.scoring._grouping import group_in, names_column

    column = names_column(listed.values(), by)
    formed = scores is not None and not column and scores.metadata.get("group_by") == by
    source = ("group", True) if formed else (by, column)
    of = {name: group_in(listed[name], *source, one.clip) for name, one in zip(rated.names, rated.scored, strict=True)}
    members: dict[str, list[int]] = {}
    failed = dict(rated.failed)
    for i, (name, group) in enumerate(of.items()):
        if group is None:
            failed[name] = f"it has no group: nothing under {by}"
        else:
            members.setdefault(group, []).append(i)
    found: dict[str, Ranking] = {}
    for group, which in members.items():
        try:
            found[group] = ranking_of(rated, mixed, which)
        except MissingScore:
            rewards = (rated.scored[i].rewards for i in which)
            reasons = [(one.reasons[0] if one is not None else None) or "no reward" for one in rewards]
            failed |= {rated.names[i]: why for i, why in zip(which, reasons, strict=True)}
    if not found:
        listed_reasons = "; ".join(dict.fromkeys(failed.values()))
        raise AvrewardError(f"no group by {by} can be ranked ({listed_reasons}); group by something else")
    return GroupedRanking(by, column, of, found, failed, rated.reward, rated.notes, rated.wall_s)


def labels(ranking: GroupedRanking) -> dict[str, str]:
    """Return each group's name for people: without the folder that all have in common; of a hash its first digits."""
    names = list(ranking.groups)
    if ranking.by == "video" and not ranking.column:
        return {name: f"video {number}" for number, name in enumerate(names, 1)}
    short = _ranking.short_names(names) if ranking.by == "parent" and not ranking.column else names
    return dict(zip(names, short, strict=True))


def print_table(ranking: GroupedRanking, page: Path | None = None) -> None:
    """Print the winner of each group, then what is not ranked."""
    from avreward.scoring._grouping import in_words

    out = stdout()
    out.print(_table(ranking))
    clips = sum(len(one.picked.order) for one in ranking.groups.values())
    out.print(f"{clips} clips ranked in {len(ranking.groups)} groups by {cell(in_words(ranking.by, ranking.column))}")
    out.print(f"Reward: {cell(repr(ranking.reward))}")
    for name, why in ranking.missing.items():
        out.print(cell(f"{name}: not ranked: {why}"), style="yellow", soft_wrap=True)
    for line in ranking.notes:
        out.print(cell(line), style="dim", soft_wrap=True)
    if page is not None:
        out.print(f"Report: {cell(str(page))}", soft_wrap=True)


def _table(ranking: GroupedRanking) -> Table:
    from rich import box
    from rich.table import Table

    from avreward.report.page import ABSENT, number

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Group", overflow="fold")
    table.add_column("Best", overflow="fold")
    for title in ("Reward", "Ahead", "Ranked"):
        table.add_column(title, justify="right")
    shown = labels(ranking)
    for group, one in ranking.groups.items():
        first, *rest = one.picked.order
        values = one.picked.rewards.values
        ahead = number(float(values[first] - values[rest[0]])) if rest else ABSENT
        name = _ranking.short_names(one.names)[first]
        cells = (cell(shown[group]), cell(name), number(float(values[first])), ahead, str(len(one.picked.order)))
        table.add_row(*cells)
    return table


def print_json(
    ranking: GroupedRanking, page: Path | None = None, more: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Print the rankings as JSON on standard output, and nothing else; `more` is added to each group."""
    told = {
        "group_by": ranking.by,
        "groups": [
            {
                "group": group,
                "best": one.names[one.picked.best_index],
                "candidates": _ranking.candidates_as_json(one),
                **(more or {}).get(group, {}),
            }
            for group, one in ranking.groups.items()
        ],
    }
    _ranking.write_json(told, ranking, ranking.missing, page)


def write_pages(
    ranking: GroupedRanking,
    path: Path,
    copy_media: bool = False,
    attributions: Mapping[str, Mapping[int, Attribution]] | None = None,
) -> Path:
    """Write a page with all groups, and a page of each group into a folder beside it."""
    from avreward.report._groups_page import GroupsPage, file_names, group_view, write_groups
    from avreward.report.build import Details, settings
    from avreward.report.data import FailedFile
    from avreward.scoring._grouping import in_words

    shown = labels(ranking)
    command = {"Command": shlex.join(["avreward", *sys.argv[1:]])}
    views: list[GroupView] = []
    try:
        with progress("Report", sum(len(one.picked.order) for one in ranking.groups.values())) as step:
            for (group, one), stem in zip(ranking.groups.items(), file_names(list(shown.values())), strict=True):
                names = _ranking.short_names(one.names)
                details = Details(names=names, settings=command, copy_media=copy_media, step=step,
                                  attributions=(attributions or {}).get(group, {}))  # fmt: skip
                views.append(group_view(path, shown[group], stem, one.picked, ranking.reward, details))
        failures = [FailedFile(name, why) for name, why in ranking.missing.items()]
        facts = {**settings(ranking.reward), **command}
        by, notes = in_words(ranking.by, ranking.column), ranking.notes
        page = GroupsPage(views, by, repr(ranking.reward), failures, notes, facts)
        return write_groups(page, path)
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error


def save_best(ranking: GroupedRanking, folder: Path) -> None:
    """Write the best clip of each group into `folder`, under the group's name."""
    from avreward.report._groups_page import file_names

    names = file_names(list(labels(ranking).values()))
    saved = {
        group: (save_in(folder, one, name), one)
        for (group, one), name in zip(ranking.groups.items(), names, strict=True)
    }
    save_sources(folder, saved)


def save_sources(folder: Path, saved: Mapping[str, tuple[str, Ranking]]) -> None:
    """Write ``best.csv`` into `folder`, a manifest: group → name of the file there and the ranking that it has won."""
    import io

    from avreward._csv_cells import CellWriter
    from avreward.report.page import write_whole

    text = io.StringIO()
    rows = CellWriter(text, ["clip", "group", "source", "reward"])
    for group, (name, one) in saved.items():
        best = one.picked.best_index
        reward = float(one.picked.rewards.values[best])
        rows.add({"clip": name, "group": group, "source": one.names[best], "reward": reward})
    path = folder / "best.csv"
    try:
        write_whole(path, text.getvalue())
    except OSError as error:
        raise AvrewardError(f"{path}: can't be written ({error.strerror or error}); choose another place") from error


def save_in(folder: Path, ranking: Ranking, name: str) -> str:
    """Write the best clip of a ranking into `folder`, which is made, as `name` with the ending of its file.

    Returns the file's name.
    """
    from avreward.report._media import own_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AvrewardError(f"{folder}: can't be made ({error.strerror or error}); choose another folder") from error
    clip = ranking.picked.best
    own = own_file(clip)
    ending = own.suffix if own is not None else ".mp4" if clip.has_video else ".wav"
    _ranking.save_clip(clip, folder / f"{name}{ending}")
    return f"{name}{ending}"
