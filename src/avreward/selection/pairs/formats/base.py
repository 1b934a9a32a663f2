"""The description of a trainer's format: its file, its columns, and which pairs it can represent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward.clip import Clip
from avreward.selection.pairs.formats._media import Naming, Pair, PairMedia
from avreward.selection.pairs.make import PreferencePairs

Keep = tuple[str, NDArray[np.bool_]]  # reason for leaving pairs out, and mask of those kept


@dataclass(frozen=True)
class PairFormat:
    """One trainer's format.

    Attributes:
        name: in commands and `export_pairs`.
        ending: of its files: ``.jsonl``, ``.json`` (also one line per row), ``.csv`` or ``.parquet``.
        columns: name → pyarrow type.
        rows: returns one row or more for a pair and its `PairMedia`.
        where: documentation of the columns.
        lost: information that the format cannot represent; the sidecar has it.
        keep: returns, for pairs and labels, which pairs the format can represent.
        per_pair: number of rows per pair.
        naming: how rows name files, as the reader expects it.
        use: the command that reads the files, with FOLDER for the exported folder.
    """

    name: str
    ending: str
    columns: Mapping[str, str]
    rows: Callable[[Pair, PairMedia], Iterator[Mapping[str, Any]]]
    where: str
    lost: str
    keep: Callable[[PreferencePairs, Mapping[str, str]], Sequence[Keep]] = lambda pairs, labels: ()
    per_pair: int = 1
    naming: Naming = "as given"
    use: str = ""


def text_of(pair: Pair) -> str:
    """Return the common prompt of both clips; empty if there is none."""
    return str(pair["prompt"] or "")


def in_order(pair: Pair) -> tuple[str, str]:
    """Return the order of the sides, by the keys of the contents, so that it does not reveal which was chosen."""
    return ("chosen", "rejected") if pair["chosen_id"] < pair["rejected_id"] else ("rejected", "chosen")


def has(pairs: PreferencePairs, column: str) -> NDArray[np.bool_]:
    """Return (pairs,) whether both clips have a value in `column`."""
    if not pairs.pool.table.has(column):
        return np.zeros(len(pairs), dtype=bool)
    there = np.isfinite(pairs.pool.table.numbers(column))
    return there[pairs.chosen] & there[pairs.rejected]


def frames_of(pair: Pair, side: str) -> int:
    """Return the number of frames: the table's, or counted in the file where the table has none."""
    known = pair.get(f"{side}_frames")
    return int(known) if known is not None else len(Clip.open(str(pair[side])).times)


def rate_of(pair: Pair, side: str) -> float:
    """Return the frames per second, without the rounding errors of time stamps."""
    return round(float(pair[f"{side}_fps"]), 6)


def prompted(pairs: PreferencePairs) -> NDArray[np.bool_]:
    """Return (pairs,) whether both clips have the same prompt, and it is not empty."""
    table = pairs.pool.table
    if not table.has("prompt"):
        return np.zeros(len(pairs), dtype=bool)
    column = table.column("prompt").combine_chunks().dictionary_encode()
    code = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    named = np.array([bool(text and text.strip()) for text in column.dictionary.to_pylist()] + [False])
    return (code[pairs.chosen] == code[pairs.rejected]) & named[code[pairs.chosen]]
