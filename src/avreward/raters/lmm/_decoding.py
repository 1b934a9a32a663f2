"""Runs sequences through the language model, what they have in common only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from avreward.errors import AvrewardError
from avreward.raters.lmm._prefix import Past, PrefixCache
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm._tree import PrefixNode, PrefixUnit, grow, units
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Text, Tokens

WORTH = 64  # tokens that a shared beginning must spare; another run of the decoder costs about as much
PREFIXES = 3  # shared beginnings kept for later batches: a text, a picture after it, a sound after that; 100 MB each

Prefixes = OrderedDict[tuple[Hashable, ...], "Prefix"]


@dataclass(frozen=True)
class Prefix:
    """A beginning that was read: what the decoder keeps of it, its hidden states (length, width), and in which mode.

    What was read without gradients isn't gone on from where they are wanted: they would end there unnoticed.
    """

    past: Past
    hidden: Tensor
    mode: bool


@dataclass
class _Sequence:
    """A node on its way through the decoder: which sequence it stands for, which tokens, where it goes on from."""

    node: PrefixNode
    start: int  # in tokens
    stop: int
    parent: int = 0
    before: tuple[Tensor, ...] = ()  # hidden states of the nodes above


def read(backbone: Backbone, sequences: Sequence[Rendered], prefixes: Prefixes | None = None) -> list[Tensor]:
    """The hidden states (k, width) at the k positions of each sequence where its answers are read.

    Sequences that begin with the same tokens share the work on them: the beginning is computed once and the rest of
    each goes on from the cache. That holds within the call, and across calls that pass the same `prefixes` (an
    `OrderedDict`, which keeps the last few). Of a single sequence without gradients, what stands before its last track
    is kept: the next call's may be a dub.
    """
    flat = [units(sequence) for sequence in sequences]
    lengths = [_starts(sequence) for sequence in flat]
    positions = [backbone.positions(sequence.parts) for sequence in sequences]
    found: list[tuple[Tensor, ...]] = [()] * len(sequences)
    for known, members in _continued(flat, prefixes):
        below = [flat[member] for member in members]
        start = len(known.key) if known else 0
        nodes = _nodes(below, start)
        if prefixes is not None and len(sequences) == 1:
            nodes = _halved(nodes[0], sequences[0], lengths[0])
        for node in _walk(nodes):
            node.members = [members[i] for i in node.members]
        level = [_row(node, lengths) for node in nodes]
        past = known.prefix.past if known else None
        for row in level:
            row.before = (known.prefix.hidden,) if known else ()
        while level:
            level, past = _run(backbone, sequences, positions, level, past, lengths, found)
            if prefixes is not None and past is not None:
                _remember(prefixes, level[-1], past, flat)
    return [_gathered(parts, sequence.reads) for parts, sequence in zip(found, sequences, strict=True)]


def _run(
    backbone: Backbone,
    sequences: Sequence[Rendered],
    positions: Sequence[Tensor],
    level: list[_Sequence],
    past: Past | None,
    lengths: Sequence[Sequence[int]],
    found: list[tuple[Tensor, ...]],
) -> tuple[list[_Sequence], Past | None]:
    """One call of the decoder for all nodes of a level; returns the next level and what it goes on from."""
    pieces = [_pieces(sequences[row.node.members[0]], row.start, row.stop) for row in level]
    embeds = [torch.cat([_embedded(backbone, piece) for piece in own]) for own in pieces]
    own_mask = _padded([torch.ones(len(own), dtype=torch.bool, device=own.device) for own in embeds])
    parents = [row.parent for row in level]
    mask = own_mask if past is None else torch.cat([past.mask[parents], own_mask], dim=1)
    where = [positions[row.node.members[0]][:, row.start : row.stop].T for row in level]
    axes = _padded(where).permute(2, 0, 1).to(mask.device)  # (axes, rows, length)
    keep = any(row.node.children for row in level)
    layers = backbone.language.config.num_hidden_layers
    cache = PrefixCache(layers, past, parents, keep) if keep or past is not None else None
    output = backbone.language(
        inputs_embeds=_padded(embeds),
        attention_mask=mask.long(),
        position_ids=axes[0] if len(axes) == 1 else axes,
        past_key_values=cache,
        use_cache=cache is not None,
        **_deep(pieces, own_mask),
    ).last_hidden_state
    following: list[_Sequence] = []
    for i, row in enumerate(level):
        hidden = (*row.before, output[i, : row.stop - row.start])
        for member in row.node.members:
            found[member] = hidden
        for child in row.node.children:
            following.append(_row(child, lengths))
            following[-1].parent, following[-1].before = i, hidden
    return following, cache.kept(mask) if cache is not None and keep else None


def _deep(pieces: Sequence[Sequence[Text | Tokens]], own_mask: Tensor) -> dict[str, object]:
    """The arguments of decoders that take deep features, where there are some."""
    tracks = [piece for own in pieces for piece in own if isinstance(piece, Tokens) and piece.deep]
    if not tracks:
        return {}
    visual = torch.zeros_like(own_mask)
    for i, own in enumerate(pieces):
        at = 0
        for piece in own:
            visual[i, at : at + piece.length] = isinstance(piece, Tokens) and bool(piece.deep)
            at += piece.length
    layers = zip(*(track.deep for track in tracks), strict=True)
    return {"visual_pos_masks": visual, "deepstack_visual_embeds": [torch.cat(layer) for layer in layers]}


def _embedded(backbone: Backbone, piece: Text | Tokens) -> Tensor:
    language = backbone.language
    if isinstance(piece, Tokens):
        return piece.values.to(language.device, language.dtype)
    if max(piece.ids) >= language.config.vocab_size:
        raise AvrewardError(
            f"the tokenizer gives token {max(piece.ids)}, the model knows {language.config.vocab_size}; "
            "they don't belong together"
        )
    return language.get_input_embeddings()(torch.tensor(piece.ids, device=language.device))


def _gathered(parts: Sequence[Tensor], reads: Sequence[int]) -> Tensor:
    """The rows `reads` of the parts put together, without putting them together."""
    rows = []
    for at in reads:
        for part in parts:
            if at < len(part):
                rows.append(part[at])
                break
            at -= len(part)
    return torch.stack(rows)


def _pieces(sequence: Rendered, start: int, stop: int) -> list[Text | Tokens]:
    """The parts of a sequence between two positions; a text may be cut, a track never is."""
    found: list[Text | Tokens] = []
    at = 0
    for part in sequence.parts:
        if isinstance(part, Text):
            ids = part.ids[max(0, start - at) : max(0, stop - at)]
            found += [Text(ids)] if ids else []
        elif start <= at < stop:
            found.append(part)
        at += part.length
    return found


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """(rows, longest, …), with zeros after the shorter ones."""
    return pad_sequence(list(rows), batch_first=True)


def _nodes(below: Sequence[Sequence[PrefixUnit]], start: int) -> list[PrefixNode]:
    """The tree of sequences that all go on after unit `start`."""
    nodes = grow([sequence[start:] for sequence in below], WORTH)
    for node in _walk(nodes):
        node.start, node.stop = node.start + start, node.stop + start
    return nodes


def _halved(node: PrefixNode, sequence: Rendered, starts: Sequence[int]) -> list[PrefixNode]:
    """A lone sequence in two, if what stands before its last track is worth keeping for a later call."""
    tracks = [part for part in sequence.parts if isinstance(part, Tokens)]
    if not tracks or (torch.is_grad_enabled() and any(track.values.requires_grad for track in tracks)):
        return [node]
    named = zip(sequence.parts, sequence.keys, strict=True)
    names = [key[0] if isinstance(part, Tokens) and isinstance(key, tuple) else None for part, key in named]
    last = next(name for name in reversed(names) if name is not None)
    cut = starts.index(sum(part.length for part in sequence.parts[: names.index(last)]))
    if starts[cut] - starts[node.start] < WORTH:
        return [node]
    return [PrefixNode(node.members, node.start, cut, [PrefixNode(node.members, cut, node.stop)])]


def _walk(nodes: Iterable[PrefixNode]) -> Iterable[PrefixNode]:
    for node in nodes:
        yield node
        yield from _walk(node.children)


def _row(node: PrefixNode, lengths: Sequence[Sequence[int]]) -> _Sequence:
    starts = lengths[node.members[0]]
    return _Sequence(node, starts[node.start], starts[node.stop])


def _starts(sequence: Sequence[PrefixUnit]) -> list[int]:
    """The position at which each unit begins, and the sequence's length."""
    starts = [0]
    for unit in sequence:
        starts.append(starts[-1] + unit.length)
    return starts


@dataclass(frozen=True)
class _CachedPrefix:
    key: tuple[Hashable, ...]
    prefix: Prefix


def _continued(
    flat: Sequence[Sequence[PrefixUnit]], prefixes: Prefixes | None
) -> list[tuple[_CachedPrefix | None, list[int]]]:
    """The sequences by the beginning that was read in an earlier call, if any."""
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for i, sequence in enumerate(flat):
        keys = tuple(unit.key for unit in sequence)
        usable = [key for key, prefix in (prefixes or {}).items() if prefix.mode == torch.is_grad_enabled()]
        known = [key for key in usable if len(key) < len(keys) and keys[: len(key)] == key]
        groups.setdefault(max(known, key=len, default=()), []).append(i)
    for key in groups:
        if prefixes and key in prefixes:
            prefixes.move_to_end(key)
    return [(_CachedPrefix(key, prefixes[key]) if key and prefixes else None, group) for key, group in groups.items()]


def _remember(prefixes: Prefixes, row: _Sequence, past: Past, flat: Sequence[Sequence[PrefixUnit]]) -> None:
    """Keeps the beginning that `row` goes on from: the last one of its level, as later batches begin like the last."""
    key = tuple(unit.key for unit in flat[row.node.members[0]][: row.node.start])
    prefixes[key] = Prefix(past.row(row.parent), torch.cat(row.before), torch.is_grad_enabled())
    prefixes.move_to_end(key)
    while len(prefixes) > PREFIXES:
        prefixes.popitem(last=False)
