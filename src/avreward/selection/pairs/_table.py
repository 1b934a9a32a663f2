"""Pairs as a table with every column of both candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avreward._display import SHOWN, Shown, counted
from avreward.selection.pairs.make import PreferencePairs

if TYPE_CHECKING:
    import pyarrow

SIDES = ("chosen", "rejected")


def pair_table(pairs: PreferencePairs, which: NDArray[np.int64] | None = None) -> pyarrow.Table:
    """Return a table with one row per pair.

    The columns are ``pair`` (the keys of both clips), ``group``, ``prompt`` (null if the two have different ones),
    ``chosen`` and ``rejected`` (paths), ``margin``, ``conflicts`` (columns in which the chosen clip is worse),
    ``chosen_id`` and ``rejected_id`` (the clips' keys), and each other column of the scored table as ``chosen_…`` and
    ``rejected_…``.

    Args:
        pairs: see `make_pairs`.
        which: indices of the pairs to include (default: all).
    """
    import pyarrow
    from pyarrow import compute

    which = np.arange(len(pairs)) if which is None else which
    rows = {"chosen": pairs.chosen[which], "rejected": pairs.rejected[which]}
    table = pairs.pool.table.rows
    sides = {side: table.take(pyarrow.array(index)) for side, index in rows.items()}
    ids = {side: pairs.ids.take(pyarrow.array(index)) for side, index in rows.items()}
    names = pyarrow.array(pairs.pool.names, pyarrow.string())
    found = {
        "pair": compute.binary_join_element_wise(*ids.values(), "-"),
        "group": names.take(pyarrow.array(pairs.group[which])),
        "prompt": _common_prompt(sides),
        **{side: sides[side]["clip"].cast("string") for side in SIDES},
        "margin": pyarrow.array(pairs.margin[which]),
        "conflicts": _conflicts(pairs, which),
        **{f"{side}_id": ids[side] for side in SIDES},
    }
    for column in table.column_names:
        if column != "clip":
            found |= {f"{side}_{column}": sides[side][column] for side in SIDES}
    return pyarrow.table(found)


def shown(pairs: PreferencePairs) -> Shown:
    """Return the pairs as a short table: title, columns, rows, number of rows."""
    few = pair_table(pairs, np.arange(min(len(pairs), SHOWN)))
    columns = ["group", "chosen", "rejected", "margin"]
    rows = ([row[name] for name in columns] for row in few.select(columns).to_pylist())
    groups, test = len(np.unique(pairs.group)), int(pairs.test.sum())
    title = f"{counted(len(pairs), 'preference pair')} in {counted(groups, 'group')}, {test} of them for testing"
    return title, columns, rows, len(pairs)


def _common_prompt(sides: dict[str, pyarrow.Table]) -> pyarrow.ChunkedArray:
    import pyarrow
    from pyarrow import compute

    if "prompt" not in sides["chosen"].column_names:
        return pyarrow.nulls(sides["chosen"].num_rows, pyarrow.string())
    one, other = (sides[side]["prompt"].cast("string") for side in SIDES)
    return compute.if_else(compute.equal(one, other), one, pyarrow.scalar(None, pyarrow.string()))


def _conflicts(pairs: PreferencePairs, which: NDArray[np.int64]) -> pyarrow.Array:
    import pyarrow

    worse = pairs.worse[which]
    dimension = np.nonzero(worse)[1]
    names = pyarrow.array(list(pairs.rule.dimensions), pyarrow.string()).take(pyarrow.array(dimension))
    starts = np.concatenate([[0], np.cumsum(worse.sum(axis=1))])
    return pyarrow.ListArray.from_arrays(pyarrow.array(starts, pyarrow.int32()), names)
