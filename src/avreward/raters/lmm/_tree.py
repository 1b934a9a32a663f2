"""The common beginnings of sequences as a tree; each node is computed once for all sequences below it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Text


@dataclass(frozen=True)
class PrefixUnit:
    """The smallest thing that sequences can share: one token of text, or all tokens of a track."""

    key: Hashable
    length: int


@dataclass
class PrefixNode:
    """Units `start` … `stop` of the sequences `members`, after the units of its parents.

    `members` are indices of sequences that are equal up to `stop`, so that the first represents all of them.
    """

    members: list[int]
    start: int
    stop: int
    children: list[PrefixNode] = field(default_factory=list)


def units(sequence: Rendered) -> list[PrefixUnit]:
    """Return the units of a sequence."""
    found: list[PrefixUnit] = []
    for part, key in zip(sequence.parts, sequence.keys, strict=True):
        found += (
            [PrefixUnit(token, 1) for token in part.ids] if isinstance(part, Text) else [PrefixUnit(key, part.length)]
        )
    return found


def grow(sequences: Sequence[Sequence[PrefixUnit]], worth: int) -> list[PrefixNode]:
    """Return the top nodes; a common beginning becomes a separate node if that saves at least `worth` tokens.

    Example:
        >>> a, b = ([PrefixUnit(k, 100) for k in keys] for keys in ("xy", "xz"))
        >>> [top] = grow([a, b], worth=64)
        >>> top.stop, [child.members for child in top.children]
        (1, [[0], [1]])
    """
    return _grow(sequences, list(range(len(sequences))), 0, 0, worth)


def _grow(
    sequences: Sequence[Sequence[PrefixUnit]], members: list[int], start: int, at: int, worth: int
) -> list[PrefixNode]:
    """Return the nodes from unit `start` on, for members that agree up to unit `at`."""
    groups: dict[Hashable, list[int]] = {}
    for member in members:
        following = sequences[member][at : at + 1]
        groups.setdefault(following[0].key if following else _END, []).append(member)
    nodes = []
    for group in groups.values():
        stop = _common(sequences, group, at)
        longer = [member for member in group if len(sequences[member]) > stop]
        tokens = sum(unit.length for unit in sequences[group[0]][start:stop])
        if not longer:  # one sequence, or several equal ones
            nodes.append(PrefixNode(group, start, stop))
        elif tokens * (len(group) - 1) >= worth:
            nodes.append(PrefixNode(group, start, stop, _grow(sequences, longer, stop, stop, worth)))
        else:
            nodes += _grow(sequences, group, start, stop, worth)
    return nodes


def _common(sequences: Sequence[Sequence[PrefixUnit]], group: list[int], at: int) -> int:
    """Return how many units at the beginning are common to `group`; at least `at`."""
    if len(group) == 1:
        return len(sequences[group[0]])
    columns = zip(*(sequences[member][at:] for member in group), strict=False)
    return at + sum(1 for _ in takewhile(lambda column: all(unit.key == column[0].key for unit in column), columns))


_END = object()
