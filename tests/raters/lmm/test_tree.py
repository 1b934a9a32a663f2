"""Common beginnings of sequences."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm._tree import PrefixNode, PrefixUnit, grow, units
from avreward.raters.lmm.prompt import Text, Tokens

LENGTHS = {"x": 1, "y": 1, "z": 1, "V": 40, "W": 100}
WORDS = st.lists(st.text("xyzVW", min_size=1, max_size=8), min_size=1, max_size=8)


def sequences_of(words: list[str]) -> list[list[PrefixUnit]]:
    return [[PrefixUnit(letter, LENGTHS[letter]) for letter in word] for word in words]


def paths(nodes: list[PrefixNode], before: tuple[PrefixNode, ...] = ()):
    for node in nodes:
        yield (*before, node)
        yield from paths(node.children, (*before, node))


@given(WORDS, st.sampled_from([1, 2, 10, 64, 500]))
def test_every_sequence_is_read_whole_and_alike(words: list[str], worth: int) -> None:
    sequences = sequences_of(words)
    ends: dict[int, list[str]] = {i: [] for i in range(len(words))}
    for path in paths(grow(sequences, worth)):
        assert path[0].start == 0
        assert all(above.stop == below.start for above, below in pairwise(path))
        node = path[-1]
        assert len({words[member][: node.stop] for member in node.members}) == 1
        below = [member for child in node.children for member in child.members]
        assert len(below) == len(set(below))
        assert set(below) == {member for member in node.members if len(words[member]) > node.stop} or not below
        for member in node.members:
            if member not in below:
                ends[member].append(words[member][: node.stop])
    assert {i: [word] for i, word in enumerate(words)} == ends


@given(WORDS, st.sampled_from([1, 2, 10, 64, 500]))
def test_what_is_shared_is_worth_it(words: list[str], worth: int) -> None:
    sequences = sequences_of(words)
    for path in paths(grow(sequences, worth)):
        node = path[-1]
        tokens = sum(unit.length for unit in sequences[node.members[0]][node.start : node.stop])
        if node.children:
            assert tokens * (len(node.members) - 1) >= worth
        else:
            assert len({words[member] for member in node.members}) == 1


@given(WORDS)
def test_with_any_worth_no_token_is_read_twice(words: list[str]) -> None:
    sequences = sequences_of(words)
    nodes = [path[-1] for path in paths(grow(sequences, 1))]
    read = sum(LENGTHS[letter] for node in nodes for letter in words[node.members[0]][node.start : node.stop])
    assert read == sum(LENGTHS[word[-1]] for word in {word[:end] for word in words for end in range(1, len(word) + 1)})


def test_text_is_shared_token_by_token_and_a_track_whole() -> None:
    import torch

    tokens = Tokens(torch.zeros(7, 4))
    sequence = Rendered((Text((5, 6)), tokens, Text((6,))), ((5, 6), ("video", "key"), (6,)))
    assert units(sequence) == [PrefixUnit(5, 1), PrefixUnit(6, 1), PrefixUnit(("video", "key"), 7), PrefixUnit(6, 1)]


def test_equal_sequences_are_one_node() -> None:
    [node] = grow(sequences_of(["xyz", "xyz", "xyz"]), worth=64)
    assert (node.members, node.start, node.stop, node.children) == ([0, 1, 2], 0, 3, [])


def test_nothing_to_read() -> None:
    assert grow([], worth=64) == []
