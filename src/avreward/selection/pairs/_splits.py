"""Detect equal clips and split groups into training and testing, without a clip in both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward.scoring.table_reader import ScoredTable
from avreward.selection.candidates import CandidateTable


@dataclass(frozen=True, eq=False)
class ClipContents:
    """The content of each row of a table.

    Attributes:
        names: pyarrow strings (rows,): the clip's key, or a hash of its path where the table has none.
        code: int64 (rows,), equal for equal names.
    """

    names: Any
    code: NDArray[np.int64]


def contents_of(table: ScoredTable) -> ClipContents:
    """Return the content of each row, by its key."""
    import pyarrow
    from pyarrow import compute

    names = table.column("clip").cast("string").combine_chunks()
    keys = (
        table.rows["clip_key"].cast("string").combine_chunks() if table.has("clip_key") else pyarrow.nulls(len(table))
    )
    if keys.null_count:
        lacking = compute.is_null(keys).to_numpy(zero_copy_only=False)
        found = keys.to_pylist()
        for row in np.flatnonzero(lacking):
            found[row] = hashlib.blake2b(str(names[row]).encode(), digest_size=16).hexdigest()
        keys = pyarrow.array(found, pyarrow.string())
    code = keys.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return ClipContents(keys, code)


def unkept(pool: CandidateTable) -> NDArray[np.bool_]:
    """Return (rows,) which candidates of a search have no file: the name is that of a seed, and no such file exists."""
    from pyarrow import compute

    names = pool.table.column("clip").cast("string").combine_chunks()
    found = compute.match_substring_regex(names, r"^(seed|candidate) -?\d+$").to_numpy(zero_copy_only=False) & (
        pool.group >= 0
    )
    for row in np.flatnonzero(found):
        found[row] = not Path(names[row].as_py()).is_file()
    return found


def copies(pool: CandidateTable, contents: ClipContents) -> NDArray[np.bool_]:
    """Return (rows,) which candidates have the same content as an earlier one of their group."""
    rows = pool.kept
    both = pool.group[rows] * (int(contents.code.max()) + 1) + contents.code[rows]
    found = np.zeros(len(pool.group), dtype=bool)
    found[rows] = True
    found[rows[np.unique(both, return_index=True)[1]]] = False
    return found


def test_groups(pool: CandidateTable, contents: ClipContents, share: float, seed: int) -> NDArray[np.bool_]:
    """Return (groups,) which groups are for testing: about `share` of them, independent of the order of rows.

    Groups that share a clip stay together. With at least two groups and a share above 0, at least one is for testing
    and one for training.
    """
    label = _linked(pool, contents)
    first: dict[int, str] = {}
    for group in np.unique(pool.group[pool.kept]):
        one, name = int(label[group]), pool.names[group]
        first[one] = min(first.get(one, name), name)
    if share == 0 or len(first) < 2:
        return np.zeros(len(pool.names), dtype=bool)
    number = min(max(1, round(share * len(first))), len(first) - 1)
    order = sorted(first, key=lambda one: hashlib.blake2b(f"{seed}\n{first[one]}".encode(), digest_size=16).digest())
    return np.isin(label, order[:number])


def _linked(pool: CandidateTable, contents: ClipContents) -> NDArray[np.int64]:
    """Return (groups,) labels that are equal for groups that share a clip, directly or through others."""
    from scipy.sparse import coo_array  # late: takes half a second
    from scipy.sparse.csgraph import connected_components

    rows, groups = pool.kept, len(pool.names)
    if len(np.unique(contents.code[rows])) == len(rows):
        return np.arange(groups)
    size = groups + int(contents.code.max()) + 1
    edges = (np.ones(len(rows), dtype=np.int8), (pool.group[rows], groups + contents.code[rows]))
    label = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1]
    return np.asarray(label[:groups], dtype=np.int64)
