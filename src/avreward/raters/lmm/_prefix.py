"""Key-value caches of beginnings that several sequences continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avreward._extras import extra

with extra("lmm"):
    from transformers.cache_utils import Cache, DynamicLayer


@dataclass(frozen=True)
class Past:
    """Keys and values of the tokens that a decoder has read, for a batch of sequences.

    Attributes:
        layers: (keys, values) of each decoder layer, (rows, heads, length, width of a head) each.
        mask: bool (rows, length): True for tokens, False for padding.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor

    def row(self, index: int) -> Past:
        """Return the cache of one sequence, without its padding."""
        there = self.mask[index]
        kept = tuple((_kept(k, index, there), _kept(v, index, there)) for k, v in self.layers)
        return Past(kept, there[there][None])


def _kept(states: Tensor, row: int, there: Tensor) -> Tensor:
    return states[row : row + 1, :, there.to(states.device)]  # layers may be on several devices


class _CacheLayer(DynamicLayer):
    """The cache of one decoder layer: gives each row its past, and keeps new entries only if `keep` is set.

    If the past is held `apart`, rows get their own entries alone; see `avreward.raters.lmm._shared_attention`.
    Nothing is changed in place, so that a layer may be run again for its gradient (checkpointing).
    """

    def __init__(self, past: tuple[Tensor, Tensor] | None, rows: Tensor | None, keep: bool, apart: bool) -> None:
        super().__init__()
        self.past, self.rows, self.keep, self.apart = past, rows, keep, apart
        self.supplied: tuple[Tensor, Tensor] | None = None
        self.kept: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Return the past keys and values of each row, followed by the new ones, or by those that were supplied."""
        own = whole = self.supplied or (key_states, value_states)
        if self.past is not None and self.rows is not None and (self.keep or not self.apart):
            rows = self.rows.to(key_states.device)  # layers may be on several devices
            whole = tuple(torch.cat([old[rows], add], dim=-2) for old, add in zip(self.past, own, strict=True))  # type: ignore[assignment]
        if self.keep:
            self.kept = whole
        return own if self.apart else whole

    def get_seq_length(self) -> int:
        """Return the number of earlier positions."""
        return 0 if self.past is None else self.past[0].shape[-2]


class PrefixCache(Cache):
    """The cache for one decoder call: row i continues row `rows[i]` of `past`.

    Rows that share a past copy it only when the layer that needs it is computed; not if it is held `apart`.
    """

    last: Any = None  # see `avreward.raters.lmm._last_layer`

    def __init__(
        self,
        layers: int,
        past: Past | None = None,
        rows: Sequence[int] = (),
        keep: bool = False,
        apart: bool = False,
    ) -> None:
        index = None if past is None else torch.tensor(rows, device=past.mask.device)
        each = [past.layers[i] if past else None for i in range(layers)]
        super().__init__(layers=[_CacheLayer(own, index, keep, apart) for own in each])

    @property
    def passes_on(self) -> bool:
        """Whether layers get back the keys and values that they give, and nothing else comes of them."""
        return all(own.past is own.supplied is None and not own.keep for own in self.layers)  # type: ignore[union-attr]

    def supply(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Set the new keys and values of a layer that is given fewer tokens than it shall attend to."""
        self.layers[layer].supplied = keys, values  # type: ignore[union-attr]

    def kept(self, mask: Tensor) -> Past:
        """Return the cache that the next level continues; `mask`: bool (rows, length) of all positions so far."""
        return Past(tuple(layer.kept for layer in self.layers), mask)  # type: ignore[union-attr]
