"""Rewards of the rows of a scored table, from the scores in it: nothing is rated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.raters.base import Rater, Sample
from avreward.raters.registry import card_of
from avreward.raters.scores import Dimension, Scores
from avreward.rewards._as_reward import RewardLike
from avreward.rewards.base import Reward
from avreward.rewards.results import Rewards

if TYPE_CHECKING:
    from avreward.scoring.table_reader import ScoredTable

DIMENSIONS = "dimensions"  # in a table's metadata: column → what its rater says about it
OWN = "table"  # stands for the rater of a column ``reward`` without an expression
TRACK_COLUMNS = {"video": "width", "audio": "sample_rate"}


class TableRater(Rater):
    """Stands for a rater whose scores are in a table; it cannot rate clips.

    Args:
        name: of the rater.
        fingerprint: of the rater that gave the scores, as the table has it.
        dimensions: the columns.
    """

    tracks = ()

    def __init__(self, name: str, fingerprint: str, dimensions: Sequence[Dimension]) -> None:
        self.name, self.fingerprint, self.dimensions = name, fingerprint, tuple(dimensions)
        self.prompt_anchored = any("prompt" in dimension.needs for dimension in dimensions)

    def load_track(self, clip: object, track: str) -> NoReturn:
        """Raise an error."""
        raise AvrewardError(f"{self.name}: expected a rater, got scores from a table; load it with load_rater")

    def rate(self, samples: Sequence[Sample], work: object = None) -> NoReturn:
        """Raise an error."""
        raise AvrewardError(f"{self.name}: expected a rater, got scores from a table; load it with load_rater")


def described(raters: Sequence[Rater]) -> dict[str, dict[str, Any]]:
    """Return what a table's metadata says about its columns of scores."""
    return {
        f"{rater.name}.{d.name}": {
            "low": d.low if math.isfinite(d.low) else None,
            "high": d.high if math.isfinite(d.high) else None,
            "needs": sorted(d.needs),
            "unit": d.unit,
            "higher_is_better": d.higher_is_better,
            "calibrated": d.calibrated,
            "detail": d.detail,
        }
        for rater in raters
        for d in rater.dimensions
    }


def raters_in(table: ScoredTable) -> dict[str, TableRater]:
    """Return the raters whose scores are in a table, by name."""
    columns: dict[str, list[str]] = {}
    for column in table.scores:
        rater, dot, dimension = column.rpartition(".")
        if dot and dimension.isidentifier():
            columns.setdefault(rater, []).append(dimension)
    told = table.metadata.get(DIMENSIONS) or {}
    if own_reward(table):
        columns[OWN] = ["reward"]
    prints = table.metadata.get("raters") or {}
    return {
        name: TableRater(name, prints.get(name, f"{name} of {table.path.name}"), _dimensions(name, own, told))
        for name, own in columns.items()
    }


def own_reward(table: ScoredTable) -> bool:
    """Return whether the column ``reward`` is all that is known of a table's reward: no expression is stored."""
    known = table.metadata.get("reward") or not table.has("reward") or table.has(f"{OWN}.reward")
    return not known and bool(np.isfinite(table.numbers("reward")).any())


def table_reward(table: ScoredTable, reward: RewardLike | None = None) -> Reward:
    """Return a reward over the scores in a table.

    Args:
        table: the scored table.
        reward: an expression, the file or folder of a reward, or a reward; by default that of the table's own column
            ``reward``, or else ``overall``.

    Raises:
        ArgumentError: if it needs scores that the table does not have.
        AvrewardError: if it can't be read.
    """
    from avreward.rewards.io import load_reward

    raters = raters_in(table)
    if not raters:
        got = Described("none")
        remedy = "score the clips with `avreward score`"
        raise ArgumentError(f"columns of {table.path}", "columns of scores (RATER.DIMENSION)", got, remedy)
    found = reward if isinstance(reward, Reward) else load_reward(_text(table, reward, raters), raters)
    known = [f"{name}.{d.name}" for name, rater in raters.items() for d in rater.dimensions]
    for term in found.terms:
        if term.name not in known:
            remedy = "score the clips again with the rater that gives it"
            raise unknown_name(f"column of {table.path}", term.name, known, remedy)
    return found


def rewards_of(table: ScoredTable, reward: Reward) -> Rewards:
    """Return the rewards of all rows, by a reward from `table_reward`."""
    raters = raters_in(table)
    scores = {rater.name: _scores(table, raters[rater.name]) for rater in reward.raters}
    prompts = table.column("prompt").to_pylist() if table.has("prompt") else [None] * len(table)
    return reward.combine(scores, prompts)


def with_reward(table: ScoredTable, reward: RewardLike) -> ScoredTable:
    """Return the table with another column ``reward``; see `ScoredTable.with_reward`."""
    import pyarrow

    found = table_reward(table, reward)
    values = rewards_of(table, found).values.double().numpy()
    rows = table.rows
    columns = {"reward": pyarrow.array(values, mask=~np.isfinite(values)), "sigma": pyarrow.nulls(len(table), "double")}
    for name, column in columns.items():
        if name in rows.column_names:
            rows = rows.set_column(rows.column_names.index(name), name, column)
        elif name == "reward":
            rows = rows.append_column(name, column)
    return replace(table, rows=rows, metadata={**table.metadata, "reward": repr(found)})


def _text(table: ScoredTable, reward: str | PathLike[str] | None, raters: Mapping[str, TableRater]) -> str:
    own = table.metadata.get("reward")
    if reward is not None or own:
        return str(reward if reward is not None else own)
    if own_reward(table):
        return f"{OWN}.reward"
    [first, *more] = raters.values()
    names = [dimension.name for dimension in first.dimensions]
    if more or ("overall" not in names and len(names) > 1):
        remedy = "name the reward: --reward EXPRESSION"
        raise ArgumentError("reward", "a reward, since the table has none", None, remedy)
    return f"{first.name}.{'overall' if 'overall' in names else names[0]}"


def _dimensions(rater: str, names: Sequence[str], told: Mapping[str, Any]) -> list[Dimension]:
    card = card_of(rater)
    listed = {dimension.name: dimension for dimension in card.dimensions} if card else {}
    return [_dimension(name, told.get(f"{rater}.{name}"), listed) for name in names]


def _dimension(name: str, about: Any, listed: Mapping[str, Dimension]) -> Dimension:
    if not isinstance(about, Mapping):  # a table of an earlier version, or of other software
        return listed.get(name) or Dimension(name, -math.inf, math.inf, frozenset(), detail=bool(listed))
    low, high = about.get("low"), about.get("high")
    return Dimension(
        name,
        -math.inf if low is None else float(low),
        math.inf if high is None else float(high),
        frozenset(map(str, about.get("needs", ()))),
        unit=str(about.get("unit", "")),
        higher_is_better=about.get("higher_is_better"),
        calibrated=bool(about.get("calibrated")) and low is not None and high is not None,
        detail=bool(about.get("detail")),
    )


def _scores(table: ScoredTable, rater: Rater) -> Scores:
    """Return the scores of all rows by one rater; the tracks of a clip tell what its fused scores are made of."""
    own_column = rater.name == OWN and own_reward(table)
    columns = ["reward" if own_column else f"{rater.name}.{d.name}" for d in rater.dimensions]
    values = np.stack([table.numbers(column) for column in columns], axis=1)
    there = np.isfinite(values)
    tracks = {track: np.isfinite(table.numbers(column)) for track, column in TRACK_COLUMNS.items() if table.has(column)}
    reasons = table.rows["reasons"].to_pylist() if table.has("reasons") else [()] * len(table)
    why, basis = [], []
    for row in range(len(table)):
        own = {entry["dimension"]: entry["reason"] for entry in reasons[row] or ()}
        everything = own.get("clip") or ("; ".join(dict.fromkeys(own.values())) if own_column else "")
        everything = everything or f"the table has no {'reward' if own_column else 'score'}"
        missing = np.flatnonzero(~there[row])
        why.append({(d := rater.dimensions[i].name): own.get(f"{rater.name}.{d}", everything) for i in missing})
        has = tuple(track for track, present in tracks.items() if present[row])
        basis.append({d.name: has for d in rater.dimensions if has and not d.needs})  # made of what a clip has
    return Scores(torch.from_numpy(values), torch.from_numpy(there), why, rater.dimensions, basis)
