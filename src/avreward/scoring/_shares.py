"""The share of one of several processes that score together, and the tables that they write, read as one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from avreward.errors import ArgumentError, AvrewardError, Described

if TYPE_CHECKING:
    import pyarrow

    Part = tuple[pyarrow.Table, Mapping[str, Any]]  # rows and metadata

T = TypeVar("T")

_WORDS = {"rank": "processes", "part": "parts"}

_SHARE = re.compile(r"(?P<stem>.+)\.(?P<kind>rank|part)(?P<rank>\d+)-of-(?P<world>\d+)")


@dataclass(frozen=True)
class Share:
    """What one of several processes does: every `world_size`-th item, from number `rank` on.

    The processes need not know of each other: each takes its own items and writes its own table, and `read_table` joins
    the tables, in the order of the items. `Evaluator` itself never shares out what it is given: in a trainer under
    ``torchrun`` each process rates its own clips.

    Args:
        rank: number of this process, from 0.
        world_size: how many there are.

    Raises:
        ArgumentError: unless 0 <= rank < world_size.

    Example:
        >>> share = Share(1, 3)
        >>> share.of(["a", "b", "c", "d", "e"])
        ['b', 'e']
        >>> share.table("scores.parquet").name
        'scores.rank1-of-3.parquet'
    """

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            got, remedy = Described(f"{self.rank} of {self.world_size}"), "set RANK and WORLD_SIZE, as torchrun does"
            raise ArgumentError("rank", "a number from 0 to below the number of processes", got, remedy)

    @classmethod
    def of_process(cls) -> Share:
        """Return the share that ``torchrun`` gives this process by ``RANK`` and ``WORLD_SIZE``; without them, all.

        Raises:
            ArgumentError: if they are not integers that fit together.
        """
        given = [os.environ.get(name) or default for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))]
        for name, text in zip(("RANK", "WORLD_SIZE"), given, strict=True):
            if not re.fullmatch(r"[0-9]{1,9}", text):
                raise ArgumentError(name, "an integer in the environment, as torchrun sets it", text)
        return cls(*map(int, given))

    @property
    def whole(self) -> bool:
        """Whether this process does all."""
        return self.world_size == 1

    def of(self, items: Iterable[T]) -> list[T]:
        """Return this process's items, in order."""
        return list(islice(items, self.rank, None, self.world_size))

    def table(self, path: str | os.PathLike[str]) -> Path:
        """Return the file that this process writes, of a table at `path`."""
        path = Path(path)
        if self.whole:
            return path
        return path.with_name(f"{path.stem}.rank{self.rank}-of-{self.world_size}{path.suffix}")


def check_free(path: Path) -> None:
    """Raise `ArgumentError` if there is a table at `path`: it would be read in place of the tables beside it."""
    if path.exists():
        got, remedy = Described(f"{path}, which exists"), "remove it, or choose another name"
        raise ArgumentError("out", "the name of a new table, as several files make it up", got, remedy)


def part_of(path: Path, number: int, count: int) -> Path:
    """Return the file of one of `count` parts of a table, which follow each other."""
    return path if count == 1 else path.with_name(f"{path.stem}.part{number}-of-{count}{path.suffix}")


def shares_of(path: Path) -> list[Path]:
    """Return the tables of the processes, or the parts, that make up the table at `path`, in order; none if it is one.

    Raises:
        AvrewardError: if one is missing, or tables of two runs with different numbers of them lie there.
    """
    if path.exists():
        return []
    found: dict[tuple[str, int], dict[int, Path]] = {}
    for beside in path.parent.glob(f"*{path.suffix}"):
        match = _SHARE.fullmatch(beside.stem)
        if match is not None and match["stem"] == path.stem:
            found.setdefault((match["kind"], int(match["world"])), {})[int(match["rank"])] = beside
    if not found:
        return []
    if len(found) > 1:
        worlds = " and ".join(f"some of {world} {_WORDS[kind]}" for kind, world in sorted(found))
        raise AvrewardError(f"{path}: expected the tables of one run, got {worlds}; remove the old ones")
    [((kind, world), tables)] = found.items()
    missing = [str(rank) for rank in range(world) if rank not in tables]
    if missing:
        told = f"expected tables of {world} {_WORDS[kind]}, got none of {kind} {', '.join(missing)}"
        raise AvrewardError(f"{path}: {told}; run the same command again, which goes on where it stopped")
    return [tables[rank] for rank in range(world)]


def joined(path: Path, shares: Sequence[Path], read: Callable[[Path], Part]) -> Part:
    """Return the rows of the processes' tables in the order of the clips, and their metadata.

    Args:
        path: of the whole, for messages.
        shares: the tables.
        read: returns the rows and the metadata of one.

    Raises:
        AvrewardError: if the tables are not of one run, or all are empty.
    """
    import numpy
    import pyarrow

    filled = [read(share) if share.stat().st_size else None for share in shares]  # JSON lines of no clip are no bytes
    first = next((part for part in filled if part is not None and part[0].num_rows), None)
    if first is None:
        raise AvrewardError(f"{path}: expected tables with rows, got none; score some clips first")
    parts = [part if part is not None and part[0].num_rows else (first[0].slice(0, 0), first[1]) for part in filled]
    counts = [rows.num_rows for rows, _ in parts]
    taken_in_turns = ".rank" in shares[0].stem
    if taken_in_turns and (counts[0] - counts[-1] > 1 or counts != sorted(counts, reverse=True)):
        why = f"their numbers of rows are {counts}"
    elif any(metadata != first[1] for _, metadata in parts):
        why = "their raters, reward or groups differ"
    else:
        rows = pyarrow.concat_tables([rows for rows, _ in parts], promote_options="permissive")
        if not taken_in_turns:
            return rows, first[1]
        places = [rank + len(parts) * numpy.arange(count) for rank, count in enumerate(counts)]
        return rows.take(numpy.argsort(numpy.concatenate(places), kind="stable")), first[1]
    raise AvrewardError(f"{path}: expected the tables of one run, got others ({why}); run all processes again")
