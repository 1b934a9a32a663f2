"""Pairs of clips that were made before, as a loop trains on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from avreward.clip import Clip
from avreward.generators.base import Condition
from avreward.selection.pairs import read_pairs


@dataclass(frozen=True)
class ClipPair:
    """Two clips of one condition, of which one is preferred.

    Attributes:
        condition: that both were made for.
        chosen: the preferred clip, or the path of its file.
        rejected: the other one.
    """

    condition: Condition
    chosen: Clip | str
    rejected: Clip | str


def prompt_condition(row: Mapping[str, Any]) -> Condition:
    """Return the condition of a pair that has a prompt alone."""
    return Condition(arguments={"prompt": row["prompt"]})


def read_clip_pairs(
    folder: str | PathLike[str],
    split: str = "train",
    condition: Callable[[Mapping[str, Any]], Condition] = prompt_condition,
) -> list[ClipPair]:
    """Read the pairs that `export_pairs` wrote in any format, with the paths of their clips.

    Args:
        folder: the exported folder.
        split: ``train`` or ``test``.
        condition: makes the condition of a row of `read_pairs`, such as the video that a pair of dubs shares. Default:
            its prompt.

    Raises:
        ArgumentError: if the folder or the split does not exist.

    Example:
        >>> from avreward.scoring import read_table
        >>> from avreward.selection import candidates_of, export_pairs, make_pairs
        >>> written = export_pairs(make_pairs(candidates_of(read_table("scores.parquet"))), "preferred")
        >>> pairs = read_clip_pairs("preferred")
        >>> len(pairs) == len(written), pairs[0].condition.arguments
        (True, {'prompt': 'prompt 0'})
    """
    rows = read_pairs(folder, split).to_pylist()
    sides = ("chosen", "rejected")
    found = [{**row, **{side: str(_placed(Path(folder), row[side])) for side in sides}} for row in rows]
    return [ClipPair(condition(row), row["chosen"], row["rejected"]) for row in found]


def _placed(folder: Path, path: str) -> Path:
    """Return where a clip is: in the exported folder if it was copied there, else where the row says."""
    inside = folder / path
    return inside if inside.exists() else Path(path)
