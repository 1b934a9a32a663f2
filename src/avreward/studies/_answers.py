"""What people answered: as a pair table, and summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward.studies._agreement import Agreement, agreement, by_category
from avreward.studies._questions import FIRST, NEITHER, SECOND
from avreward.studies._rows import write_rows
from avreward.studies.choices import Choices

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "pair", "group", "category", "prompt", "first", "second", "preferred", "picked", "margin", "person", "seconds",
    "changed", "at",
)  # fmt: skip


def answers_table(choices: Choices) -> pandas.DataFrame:
    """Return a row an answer, in the order of time, as a pair table.

    The columns are ``pair``, ``group``, ``category``, ``prompt``, ``first`` and ``second`` (what was shown in the two
    places), ``preferred`` (by the person: first, second or tie), ``picked`` (by the rater: first or second; empty where
    neither was its pick), ``margin`` (difference of the rewards), ``person``, ``seconds``, ``changed`` (how often the
    answer was changed) and ``at`` (the time, UTC).
    """
    import pandas

    videos = {video.name: video for video in choices.videos()}
    places = {FIRST: "first", SECOND: "second", NEITHER: "tie"}
    rows = []
    for video, person, first, second, picked, choice, seconds, at, changed in choices.rows():
        asked = videos[video]
        of = {shown.number: shown for shown in asked.candidates}
        pair = [of.get(number) for number in (first, second)]
        rewards = [None if shown is None else shown.reward for shown in pair]
        known = [reward for reward in rewards if reward is not None]
        rows.append((
            video, asked.group or video, asked.category, asked.prompt, *("" if s is None else s.source for s in pair),
            places[choice], "first" if picked == first else "second" if picked == second else "",
            abs(known[0] - known[1]) if len(known) == 2 else asked.margin,
            person, seconds, changed, datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        ))  # fmt: skip
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def export_answers(choices: Choices, path: str | PathLike[str]) -> Path:
    """Write `answers_table` as CSV, JSON lines or Parquet, by the file's ending, all of it or nothing.

    In CSV, text that a spreadsheet would run as a formula begins with an apostrophe.

    Returns:
        The path.

    Raises:
        ArgumentError: if the name has another ending.
        AvrewardError: if the file can't be written.
    """
    return write_rows(answers_table(choices), path)


def summarize(choices: Choices) -> dict[str, Any]:
    """Return what an experiment holds and how often people prefer the pick, as plain values for JSON.

    The keys are those of `Choices.about`, ``videos`` (that can be asked about), ``equal_rewards`` (of those, where the
    two best rewards are equal), ``left_out`` (name → why), ``missing`` (candidate → why), ``all`` and ``categories``
    (each with the fields of `Agreement`, ``by_video`` and ``by_video_interval``) and ``people`` (name → answers).
    """
    videos, answers = choices.videos(), choices.answers()
    rewards = {
        video.name: sorted((s.reward for s in video.candidates if s.file and s.reward is not None), reverse=True)
        for video in videos
    }
    return {
        **choices.about,
        "videos": sum(video.picked is not None for video in videos),
        "equal_rewards": [name for name, values in rewards.items() if len(values) > 1 and values[0] == values[1]],
        "left_out": {video.name: video.reason for video in videos if video.picked is None},
        "missing": {
            f"{video.name}: {shown.source}": shown.reason
            for video in videos
            for shown in video.candidates
            if shown.reason
        },
        "all": _plain_numbers(agreement(answers)),
        "categories": {name: _plain_numbers(part) for name, part in by_category(answers).items() if name},
        "people": dict(Counter(answer.person for answer in answers)),
    }


def _plain_numbers(found: Agreement) -> Mapping[str, Any]:
    return asdict(found) | {"by_video": found.by_video, "by_video_interval": found.by_video_interval}
