"""The last layer of a language model for the tokens alone whose hidden states are read.

A layer's keys and values are needed of all tokens, but what the last layer makes of a token is needed by nobody unless
an answer is read there. Queries, attention, the feed-forward part and the final norm of the others are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from avreward.raters.lmm._prefix import PrefixCache
from avreward.raters.lmm._shared_attention import USUAL, attention_name

_MASKED = frozenset({USUAL, "eager"})  # ways to attend that take any mask
_LAYER = frozenset({"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"})
_ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm", "rotary_emb", "rotary_fn"})


_hooked: WeakSet[nn.Module] = WeakSet()
_lock = Lock()


class LastLayer:
    """The last layer within `reading`.

    Attributes:
        narrowed: whether the layer's result has the read tokens alone, (rows, k, width).
    """

    def __init__(self, cache: PrefixCache, reads: Tensor) -> None:
        self.cache, self.reads, self.narrowed = cache, reads, False

    def narrow(
        self, layer: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return the layer's arguments for the read tokens alone; None leaves them as they are."""
        hidden, angles = args[0] if args else options["hidden_states"], options["position_embeddings"]
        if self.reads.shape[1] >= hidden.shape[1]:
            return None  # nothing to leave out
        if any(angle.ndim != 3 for angle in angles) or _is_flat(options["attention_mask"]):
            return None
        self.cache.supply(layer.self_attn.layer_idx, *_keys_and_values(layer, hidden, angles))
        read = _rows(hidden, self.reads)
        narrow = {
            **options,
            "attention_mask": _mask(options["attention_mask"], self.reads, hidden, self.cache.get_seq_length()),
            "position_embeddings": tuple(_rows(angle, self.reads) for angle in angles),
        }
        self.narrowed = True
        return ((read, *args[1:]), narrow) if args else ((), {**narrow, "hidden_states": read})


@contextmanager
def reading(
    language: Any, cache: PrefixCache, reads: Sequence[Sequence[int]], deep: Mapping[str, Any]
) -> Iterator[LastLayer]:
    """Let the last layer compute the tokens `reads` of each row alone, if it is of a kind that is known.

    Args:
        language: the language model.
        cache: of the call; it must be given to the language model, which hands keys and values on by it.
        reads: positions among the tokens of the call, one or more a row.
        deep: the call's deep features, which must not be added after the last layer.
    """
    longest = max(len(own) for own in reads)
    last = LastLayer(cache, torch.tensor([[*own, *[own[-1]] * (longest - len(own))] for own in reads]))
    layer = _known(language, len(deep.get("deepstack_visual_embeds", ())))
    if layer is not None:
        _hook(layer)
        cache.last = last
    try:
        yield last
    finally:
        cache.last = None


def _hook(layer: nn.Module) -> None:
    """Let each call of a layer ask its cache whether it is narrowed.

    The hook stays: to put one up and take it down while another thread calls the layer is not safe.
    """
    with _lock:
        if layer not in _hooked:
            layer.register_forward_pre_hook(_narrowed, with_kwargs=True)
            _hooked.add(layer)


def _narrowed(
    layer: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    last: LastLayer | None = getattr(options.get("past_key_values"), "last", None)
    return None if last is None else last.narrow(layer, args, options)


def _known(language: Any, deep: int) -> Any | None:
    """Return the last layer, if its parts are those that this module knows; `deep` layers are followed by features."""
    layers = getattr(language, "layers", ())[: language.config.num_hidden_layers]
    if len(layers) <= deep or attention_name(language) not in _MASKED:
        return None
    layer = layers[-1]
    attention = getattr(layer, "self_attn", nn.Identity())
    parts = {name for name, _ in layer.named_children()}, {name for name, _ in attention.named_children()}
    if parts[0] != _LAYER or not {"k_proj", "v_proj"} <= parts[1] <= _ATTENTION or not hasattr(attention, "head_dim"):
        return None
    if layer.training and getattr(layer, "gradient_checkpointing", False):  # which takes the cache away
        return None
    return layer if _rotation(attention) is not None else None


def _rotation(attention: nn.Module) -> Any:
    return getattr(sys.modules[type(attention).__module__], "apply_rotary_pos_emb", None)


def _keys_and_values(layer: Any, hidden: Tensor, angles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the layer's keys and values (rows, heads, length, width of a head), as its attention computes them."""
    attention, normed = layer.self_attn, layer.input_layernorm(hidden)
    each = (*normed.shape[:-1], -1, attention.head_dim)
    keys = attention.k_proj(normed).view(each)
    keys = (attention.k_norm(keys) if hasattr(attention, "k_norm") else keys).transpose(1, 2)
    cosines, sines = (angle.to(keys.device) for angle in angles)  # layers may be on several devices
    _, keys = _rotation(attention)(keys[:, :1], keys, cosines, sines)  # it rotates queries, too
    return keys, attention.v_proj(normed).view(each).transpose(1, 2)


def _rows(values: Tensor, reads: Tensor) -> Tensor:
    """Return the tokens `reads` (rows, k) of values (rows or 1, length, width)."""
    index = reads.to(values.device).unsqueeze(-1)
    return values.expand(len(reads), -1, -1).gather(1, index.expand(-1, -1, values.shape[-1]))


def _is_flat(mask: Any) -> bool:
    return mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 4)


def _mask(mask: Tensor | None, reads: Tensor, hidden: Tensor, before: int) -> Tensor:
    """Return the rows of a mask (rows or 1, 1, length, keys) that belong to `reads`; None stands for a causal one."""
    if mask is None:
        keys = torch.arange(before + hidden.shape[1], device=hidden.device)
        return (keys <= before + reads.to(hidden.device).unsqueeze(-1)).unsqueeze(1)
    index = reads.to(mask.device)[:, None, :, None]
    return mask.expand(len(reads), -1, -1, -1).gather(2, index.expand(-1, mask.shape[1], -1, mask.shape[3]))
