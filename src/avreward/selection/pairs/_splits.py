"""Detect equal clips and split groups into training and testing, without a clip in both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward.errors import MediaError
from avreward.selection.candidates import CandidateTable


@dataclass(frozen=True, eq=False)
class ClipContents:
    """The content of each row of a table.

    Attributes:
        names: pyarrow strings (rows,): the clip's key, or a hash of its path where the table has none.
        code: int64 (rows,), equal for equal names, and for copies of one clip in different containers.
    """

    names: Any
    code: NDArray[np.int64]


def contents_of(pool: CandidateTable) -> ClipContents:
    """Return the content of each row, by its key, and by its packets where a group has files of several containers."""
    import pyarrow
    from pyarrow import compute

    table = pool.table
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
    return ClipContents(keys, _remuxes_joined(pool, code))


def _remuxes_joined(pool: CandidateTable, code: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `code` with one number for the copies of a clip in other containers.

    They have the same packets, and are as long within 0.25 s or 2 %, as a container may lose how much of a sound is an
    encoder's padding. Only clips of a group with file names of several endings are read; one that cannot be read is
    left as it is.
    """
    from pyarrow import compute

    from avreward.media._keys.files import packets_key

    names = pool.table.column("clip").cast("string").combine_chunks()
    endings = compute.utf8_lower(compute.replace_substring_regex(names, r"^.*\.", "")).dictionary_encode().indices
    mixed = _of_several_endings(pool, endings.to_numpy(zero_copy_only=False).astype(np.int64))
    seconds = pool.table.numbers("seconds") if pool.table.has("seconds") else np.full(len(code), np.nan)
    code, first = code.copy(), dict[tuple[int, str], int]()
    for row in mixed:
        try:
            key = (int(pool.group[row]), packets_key(Path(names[row].as_py())))
        except MediaError:
            continue
        earlier = first.setdefault(key, int(row))
        if not abs(seconds[row] - seconds[earlier]) > max(0.25, 0.02 * seconds[earlier]):
            code[row] = code[earlier]
    return code


def _of_several_endings(pool: CandidateTable, endings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of the groups whose files have several endings."""
    rows = pool.kept
    several = np.zeros(len(pool.names), dtype=bool)
    both = np.unique(np.stack([pool.group[rows], endings[rows]]), axis=1)
    groups, count = np.unique(both[0], return_counts=True)
    several[groups[count > 1]] = True
    return rows[several[pool.group[rows]]]


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
