"""Run sequences through the language model; common beginnings are computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from avreward.errors import AvrewardError
from avreward.raters.lmm._last_layer import reading
from avreward.raters.lmm._prefix import Past, PrefixCache
from avreward.raters.lmm._shared_attention import common_beginning, sharing
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm._tree import PrefixNode, PrefixUnit, grow, units
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Text, Tokens

WORTH = 64  # tokens that a shared beginning must save; another call of the decoder costs about as much
AT_ONCE = (
    1536  # tokens of a decoder call on a CPU, where larger intermediate results are slower, unless one row has more
)
PREFIXES = 3  # beginnings kept for later batches: text, text and video, text and both tracks; about 100 MB each

Prefixes = OrderedDict[tuple[Hashable, ...], "Prefix"]


@dataclass(frozen=True)
class Prefix:
    """A computed beginning: its cache, the hidden states read in it, by position, and whether gradients were recorded.

    A beginning computed without gradients is not reused where gradients are recorded: they would silently stop there.
    """

    past: Past
    hidden: Mapping[int, Tensor]
    mode: bool

    @property
    def length(self) -> int:
        """In tokens."""
        return self.past.mask.shape[1]


@dataclass
class _Sequence:
    """A row of a decoder call: the node it computes, its tokens, and the row of the previous level it continues."""

    node: PrefixNode
    start: int  # in tokens
    stop: int
    parent: int = 0
    before: Mapping[int, Tensor] = field(default_factory=dict)  # hidden states read in the nodes above, by position


@dataclass(frozen=True)
class _Batch:
    """The sequences of a call.

    Attributes:
        sequences: what to read.
        reads: the positions that are read, of each.
        positions: on the axes of the language model, (axes, length) each.
        starts: the position at which each unit begins, and the length; of each.
        found: the hidden states that were read, by position, of each.
    """

    sequences: Sequence[Rendered]
    reads: Sequence[Sequence[int]]
    positions: Sequence[Tensor]
    starts: Sequence[Sequence[int]]
    found: list[Mapping[int, Tensor]]


def read(backbone: Backbone, sequences: Sequence[Rendered], prefixes: Prefixes | None = None) -> list[Tensor]:
    """Return the hidden states (k, width) at the k positions of each sequence where its answers are read.

    Sequences that begin with the same tokens share the work on them: the beginning is computed once and the rest of
    each sequence continues from the cache, within the call and across calls with the same `prefixes`. For a single
    sequence without gradients, the part before its last track is cached, because the next call may be about another
    dub.

    Args:
        backbone: the language model.
        sequences: what to read.
        prefixes: beginnings of earlier calls; the last few are kept (*optional*).
    """
    flat = [units(sequence) for sequence in sequences]
    starts = [_starts(sequence) for sequence in flat]
    batch = _Batch(
        sequences,
        [sequence.reads for sequence in sequences],
        [backbone.positions(sequence.parts) for sequence in sequences],
        starts,
        [{} for _ in sequences],
    )
    for known, members in _continued(flat, batch.reads, prefixes):
        below = [flat[member] for member in members]
        start = len(known.key) if known else 0
        nodes = _nodes(below, start)
        if prefixes is not None and len(sequences) == 1:
            nodes = _halved(nodes[0], sequences[0], starts[0])
        for node in _walk(nodes):
            node.members = [members[i] for i in node.members]
        level = [_row(node, starts) for node in nodes]
        past = known.prefix.past if known else None
        for row in level:
            row.before = known.prefix.hidden if known else {}
        while level:
            level, past = _run(backbone, batch, level, past)
            if prefixes is not None and past is not None:
                _remember(prefixes, level[-1], past, flat)
    return [torch.stack([found[at] for at in own]) for found, own in zip(batch.found, batch.reads, strict=True)]


def _run(
    backbone: Backbone, batch: _Batch, level: list[_Sequence], past: Past | None
) -> tuple[list[_Sequence], Past | None]:
    """Call the decoder for all nodes of a level; return the next level and the cache that it continues."""
    language = backbone.language
    rows = _at_once(level, language.device)
    if rows < len(level):
        for start in range(0, len(level), rows):
            _run(backbone, batch, level[start : start + rows], past)
        return [], None
    pieces = [_pieces(batch.sequences[row.node.members[0]], row.start, row.stop) for row in level]
    embeds = [torch.cat([_embedded(backbone, piece) for piece in own]) for own in pieces]
    own_mask = _padded([torch.ones(len(own), dtype=torch.bool, device=own.device) for own in embeds])
    parents = [row.parent for row in level]
    mask = own_mask if past is None else torch.cat([past.mask[parents], own_mask], dim=1)
    where = [batch.positions[row.node.members[0]][:, row.start : row.stop].T for row in level]
    axes = _padded(where).permute(2, 0, 1).to(mask.device)  # (axes, rows, length)
    keep = any(row.node.children for row in level)
    common = common_beginning(language, past, parents)
    cache = PrefixCache(language.config.num_hidden_layers, past, parents, keep, common is not None)
    deep = _deep(pieces, own_mask)
    reads = [_reads(batch, row) for row in level]
    with sharing(language, common), reading(language, cache, reads, deep) as last:
        output = language(
            inputs_embeds=_padded(embeds),
            attention_mask=mask.long(),
            position_ids=axes[0] if len(axes) == 1 else axes,
            past_key_values=cache,
            use_cache=True,
            **deep,
        ).last_hidden_state
    following: list[_Sequence] = []
    for i, row in enumerate(level):
        own = {row.start + at: output[i, j if last.narrowed else at] for j, at in enumerate(reads[i])}
        hidden = {**row.before, **own}
        for member in row.node.members:
            batch.found[member] = hidden
        for child in row.node.children:
            following.append(_row(child, batch.starts))
            following[-1].parent, following[-1].before = i, hidden
    return following, cache.kept(mask) if keep else None


def _at_once(level: Sequence[_Sequence], device: torch.device) -> int:
    """Return how many rows of a level to compute in a call; all of them, if a graph or a cache keeps what they give."""
    if device.type != "cpu" or torch.is_grad_enabled() or any(row.node.children for row in level):
        return len(level)
    return max(1, AT_ONCE // max(row.stop - row.start for row in level))


def _reads(batch: _Batch, row: _Sequence) -> list[int]:
    """Return the positions read in a row, from its start; the last one, if none is."""
    own = {at - row.start for i in row.node.members for at in batch.reads[i] if row.start <= at < row.stop}
    return sorted(own) or [row.stop - row.start - 1]


def _deep(pieces: Sequence[Sequence[Text | Tokens]], own_mask: Tensor) -> dict[str, object]:
    """Return the extra arguments of decoders with deep features, if there are any."""
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
            f"tokenizer: expected tokens below {language.config.vocab_size} (the model's vocabulary), "
            f"got {max(piece.ids)}; use the model's own tokenizer"
        )
    return language.get_input_embeddings()(torch.tensor(piece.ids, device=language.device))


def _pieces(sequence: Rendered, start: int, stop: int) -> list[Text | Tokens]:
    """Return the parts of a sequence between two positions; text may be cut, a track is never cut."""
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
    """Stack rows to (rows, longest, …), padded with zeros at the end."""
    return pad_sequence(list(rows), batch_first=True)


def _nodes(below: Sequence[Sequence[PrefixUnit]], start: int) -> list[PrefixNode]:
    """Return the tree of the sequences from unit `start` on."""
    nodes = grow([sequence[start:] for sequence in below], WORTH)
    for node in _walk(nodes):
        node.start, node.stop = node.start + start, node.stop + start
    return nodes


def _halved(node: PrefixNode, sequence: Rendered, starts: Sequence[int]) -> list[PrefixNode]:
    """Split a single sequence before its last track, if the first part is long enough to be cached."""
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


def _row(node: PrefixNode, starts: Sequence[Sequence[int]]) -> _Sequence:
    own = starts[node.members[0]]
    return _Sequence(node, own[node.start], own[node.stop])


def _starts(sequence: Sequence[PrefixUnit]) -> list[int]:
    """Return the position at which each unit begins, and the sequence's length."""
    starts = [0]
    for unit in sequence:
        starts.append(starts[-1] + unit.length)
    return starts


@dataclass(frozen=True)
class _CachedPrefix:
    key: tuple[Hashable, ...]
    prefix: Prefix


def _continued(
    flat: Sequence[Sequence[PrefixUnit]], reads: Sequence[Sequence[int]], prefixes: Prefixes | None
) -> list[tuple[_CachedPrefix | None, list[int]]]:
    """Group the sequences by the cached beginning of an earlier call that they continue, if any.

    What a sequence reads in a beginning must have been read there before.
    """
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for i, sequence in enumerate(flat):
        keys = tuple(unit.key for unit in sequence)
        usable = [
            key
            for key, prefix in (prefixes or {}).items()
            if prefix.mode == torch.is_grad_enabled()
            and all(at in prefix.hidden for at in reads[i] if at < prefix.length)
        ]
        known = [key for key in usable if len(key) < len(keys) and keys[: len(key)] == key]
        groups.setdefault(max(known, key=len, default=()), []).append(i)
    for key in groups:
        if prefixes and key in prefixes:
            prefixes.move_to_end(key)
    return [(_CachedPrefix(key, prefixes[key]) if key and prefixes else None, group) for key, group in groups.items()]


def _remember(prefixes: Prefixes, row: _Sequence, past: Past, flat: Sequence[Sequence[PrefixUnit]]) -> None:
    """Cache the beginning that `row` continues: the last of its level, because later batches begin like the last."""
    key = tuple(unit.key for unit in flat[row.node.members[0]][: row.node.start])
    prefixes[key] = Prefix(past.row(row.parent), row.before, torch.is_grad_enabled())
    prefixes.move_to_end(key)
    while len(prefixes) > PREFIXES:
        prefixes.popitem(last=False)
