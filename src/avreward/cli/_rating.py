"""Open and rate candidates for `rank` and `demo`, and rank them in one list or in groups."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward._printable import printable
from avreward.cli._common import Complaints, progress, stderr
from avreward.cli._ranking import Ranking
from avreward.errors import AvrewardError, MediaError

if TYPE_CHECKING:
    from avreward.cli._groups import GroupedRanking
    from avreward.clip import Clip
    from avreward.rewards.base import Reward
    from avreward.scoring._streaming import Scored
    from avreward.scoring.inputs import ListedClip
    from avreward.scoring.store.store import Store
    from avreward.scoring.table_reader import ScoredTable


@dataclass(frozen=True)
class RatedClips:
    """Rated candidates, not ranked yet.

    Attributes:
        names: of those that could be judged, in the order given.
        scored: their scores and rewards.
        failed: name of each file that could not be judged → why.
        reward: what they are ranked by.
        notes: what a reader must know about the reward on these clips.
        wall_s: what opening, decoding and judging took.
    """

    names: list[str]
    scored: list[Scored]
    failed: dict[str, str]
    reward: Reward
    notes: list[str]
    wall_s: float


def rate(
    candidates: Mapping[str, Callable[[], Clip]],
    reward: Reward,
    store: Store | None = None,
    retry_missing: bool = False,
) -> RatedClips:
    """Open and rate candidates: name → what opens it. What fails costs one line on standard error.

    Raises `AvrewardError` where nothing is left to rank.
    """
    from contextlib import nullcontext

    from avreward.report.build import prompt_notes
    from avreward.scoring.run import score_files

    started = time.monotonic()
    failed: dict[str, str] = {}
    opened: dict[str, Clip] = {}
    found: dict[str, Scored] = {}
    for name, open_clip in candidates.items():
        try:
            opened[name] = open_clip()
        except AvrewardError as error:
            failed[name] = _reason(error)
    rows = score_files(opened.values(), reward, store=store, retry_missing=retry_missing, isolate=False)
    with nullcontext() if store is None else store, progress("Rating", len(opened)) as step:
        for (name, clip), scored in zip(opened.items(), rows, strict=True):
            step(name)
            if scored.error is not None or scored.rewards is None:
                failed[name] = (scored.error or "not judged").removeprefix(f"{printable(str(clip.path))}: ")
            else:
                found[name] = replace(scored, clip=clip)
    tell = Complaints()
    for name, why in failed.items():
        tell(f"{name}: {why}")
    tell.end("; --json names all" if found else "")
    if not found:
        problem = "the file could not" if len(candidates) == 1 else f"none of the {len(candidates)} files could"
        raise AvrewardError(f"{problem} be judged; give at least one that can")
    notes = prompt_notes(reward, (clip.prompt for clip in opened.values()))
    return RatedClips(list(found), list(found.values()), failed, reward, notes, time.monotonic() - started)


def rated_in(table: ScoredTable, listed: Mapping[str, ListedClip], reward: str | None) -> RatedClips:
    """Return the clips of a scored table as rated: by `reward`, or else by the reward that the table has."""
    from avreward.report.build import prompt_notes
    from avreward.scoring._streaming import Scored
    from avreward.scoring._table_rewards import rewards_of, table_reward

    started = time.monotonic()
    chosen = table_reward(table, reward)
    rows = rewards_of(table, chosen).split()
    clips = zip(listed.values(), rows, strict=True)
    scored = [Scored(clip.path, None, row.scores, row, None, True) for clip, row in clips]
    notes = prompt_notes(chosen, (one.prompt for one in listed.values()))
    return RatedClips(list(listed), scored, {}, chosen, notes, time.monotonic() - started)


def ranking_of(rated: RatedClips, mixed: bool = False, among: Sequence[int] | None = None) -> Ranking:
    """Rank rated candidates, or those of them in `among`; only a ranking of all has those that failed."""
    from avreward.rewards.results import Rewards
    from avreward.selection._best_of_n import select

    which = range(len(rated.names)) if among is None else among
    rewards = [one.rewards for i in which if (one := rated.scored[i]).rewards is not None]
    # Clips of a table are files, which are opened on access.
    clips = [rated.scored[i].clip or rated.scored[i].path or Path(rated.names[i]) for i in which]
    picked = select(clips, Rewards.concatenate(rewards), mixed=mixed)
    in_our_words = {i: why.replace("mixed=True", "--mixed") for i, why in picked.missing.items()}
    failed = rated.failed if among is None else {}
    names = [rated.names[i] for i in which]
    return Ranking(names, replace(picked, missing=in_our_words), failed, rated.reward, rated.notes, rated.wall_s)


def run(candidates: Mapping[str, Callable[[], Clip]], reward: Reward, mixed: bool = False) -> Ranking:
    """Open, rate and rank candidates in one list; see `rate`."""
    return ranking_of(rate(candidates, reward), mixed)


def different_content(listed: Mapping[str, ListedClip], rated: RatedClips) -> str | None:
    """Return a line if candidates of one ranking seem to answer different conditions, and how to group them."""
    prompts = {one.prompt for one in listed.values() if one.prompt}
    if len(prompts) > 1:
        return f"these clips have {len(prompts)} different prompts; --group-by prompt ranks those of each by themselves"
    groups = {one.columns.get("group") for one in listed.values()}
    if len(groups) > 1:
        return f"these clips are of {len(groups)} groups; --group-by group ranks those of each by themselves"
    videos = Counter(one.clip.keys["video"] for one in rated.scored if one.clip is not None and one.clip.has_video)
    if 1 < len(videos) < videos.total():
        many = f"{len(videos)} different videos"
        return f"these clips are dubs of {many}; --group-by video ranks those of each by themselves"
    folders = Counter(listed[name].path.parent for name in rated.names)
    stems = Counter(listed[name].path.stem for name in rated.names)
    if len(folders) > 1 and len(stems) > 1 and min(stems.values()) > 1:
        return (
            f"these folders have files of the same {len(stems)} names; --group-by stem ranks those of one name by "
            "themselves"
        )
    if len(folders) > 1 and min(folders.values()) > 1:
        return f"these clips are in {len(folders)} folders; --group-by parent ranks those of each by themselves"
    return None


def _reason(error: AvrewardError) -> str:
    """Return an error's text without the file's name in front: it is listed beside the name."""
    return str(error).removeprefix(f"{printable(error.source)}: ") if isinstance(error, MediaError) else str(error)


def rank_table(
    path: Path,
    listed: Mapping[str, ListedClip],
    rated: RatedClips,
    rankings: Sequence[Ranking],
    groups: GroupedRanking | None,
    scores: ScoredTable | None = None,
) -> None:
    """Write the scored table of all candidates, with the column ``rank`` inside their group.

    The columns of a manifest are copied, and what the table `scores` says about the clips that it lists.
    """
    from avreward.scoring._score_table import metadata_of, other_columns, other_values, row_of
    from avreward.scoring.table_writer import TableWriter

    places = {one.names[i]: place for one in rankings for place, i in enumerate(one.picked.order, 1)}
    raters = rated.reward.raters
    metadata = metadata_of(raters, rated.reward, groups.by if groups else "ranking")
    columns = [f"{rater.name}.{dimension.name}" for rater in raters for dimension in rater.dimensions]
    others = other_columns(list(listed.values()), [*columns, "rank"])
    known = _described(scores) if scores is not None else [{} for _ in listed]
    scored = dict(zip(rated.names, rated.scored, strict=True))
    with TableWriter(path, columns, metadata, {**others, "rank": "int64"}) as table:
        for (name, one), row in zip(listed.items(), known, strict=True):
            row |= other_values(one, others)
            row |= {"clip": str(one.path), "fingerprint": rated.reward.fingerprint, "rank": places.get(name)}
            if name in scored:
                row |= row_of(scored[name], one)
            else:
                row |= {"prompt": one.prompt, "reasons": {"clip": rated.failed.get(name, "not judged")}}
            table.add(**row | {"group": groups.group_of.get(name) if groups else "ranking"})
    stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)


def _described(scores: ScoredTable) -> list[dict[str, Any]]:
    """Return what a table says about each of its clips, with numbers as numbers."""
    whole = ("frames", "width", "height", "sample_rate")
    rows: list[dict[str, Any]] = [{} for _ in range(len(scores))]
    for name in (*whole, "seconds", "fps", "loudness", "motion"):
        if scores.has(name):
            for row, value in zip(rows, scores.numbers(name).tolist(), strict=True):
                row[name] = None if value != value else int(value) if name in whole else value
    if scores.has("clip_key"):
        for row, key in zip(rows, scores.column("clip_key").to_pylist(), strict=True):
            row["clip_key"] = key
    return rows
