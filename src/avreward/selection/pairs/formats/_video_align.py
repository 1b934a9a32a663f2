"""VideoAlign (VideoReward's trainer): a CSV with the label A, B or same for each of three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from avreward.errors import ArgumentError, Described
from avreward.scoring.table_reader import ScoredTable
from avreward.selection.pairs.formats._media import Pair, PairMedia
from avreward.selection.pairs.formats.base import (
    Keep,
    PairFormat,
    frames_of,
    has,
    in_order,
    prompted,
    rate_of,
    text_of,
)
from avreward.selection.pairs.make import PreferencePairs

DIMENSIONS = ("VQ", "MQ", "TA")  # visual quality, motion quality, text alignment


def label_columns(table: ScoredTable, labels: Mapping[str, str]) -> dict[str, str]:
    """Return ``VQ``, ``MQ`` and ``TA`` → column: the given one, or the only one with that ending.

    Args:
        table: the scored table.
        labels: given columns.

    Raises:
        ArgumentError: if a label has no column; labels are never derived from another score.
    """
    found = {}
    for name in DIMENSIONS:
        known = [column for column in table.scores if column.rpartition(".")[2] == name]
        column = labels.get(name) or (known[0] if len(known) == 1 else None)
        if column is None:
            got = Described(f"{len(known) or 'no'} columns of {table.path} that end in {name}")
            remedy = f"name one with --label {name}=COLUMN, of {', '.join(table.scores)}"
            raise ArgumentError("labels", f"a column for {name}, which VideoAlign needs", got, remedy)
        table.numbers(column)
        found[name] = column
    return found


def _row(pair: Pair, media: PairMedia) -> Iterator[Mapping[str, Any]]:
    sides = in_order(pair)
    row: dict[str, Any] = {f"path_{letter}": media.clip(pair, side) for letter, side in zip("AB", sides, strict=True)}
    row["prompt"] = text_of(pair)
    for name in DIMENSIONS:
        first, second = (pair[f"{side}_{media.labels[name]}"] for side in sides)
        row[name] = "same" if first == second else "A" if first > second else "B"
    for letter, side in zip("AB", sides, strict=True):
        row |= {f"fps_{letter}": rate_of(pair, side), f"num_frames_{letter}": frames_of(pair, side)}
    yield row


def _keep(pairs: PreferencePairs, labels: Mapping[str, str]) -> Sequence[Keep]:
    shown = has(pairs, "fps")
    judged = np.logical_and.reduce([has(pairs, column) for column in labels.values()])
    return [
        ("no video (video-align needs videos)", shown),
        ("no score for VQ, MQ or TA", judged),
        ("no common prompt (video-align reads an empty one as None)", prompted(pairs)),
    ]


VIDEO_ALIGN = PairFormat(
    "video-align",
    ".csv",
    {"path_A": "string", "path_B": "string", "prompt": "string"}
    | dict.fromkeys(DIMENSIONS, "string")
    | {"fps_A": "double", "num_frames_A": "int64", "fps_B": "double", "num_frames_B": "int64"},
    _row,
    "https://github.com/KwaiVGI/VideoAlign/tree/main/datasets/train",
    "the order of A and B is independent of the reward; the clip that the reward chose, scores, margins, conflicts, "
    "covariates other than the frame rate, seeds and groups are left out",
    _keep,
    naming="relative",
    use="train_reward.py --meta_data FOLDER/train.csv --data_dir FOLDER (paths are joined with --data_dir); "
    "KwaiVGI/VideoAlign at 3e5ebc6 (not checked against the original)",
)
