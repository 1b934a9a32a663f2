"""Attention of sequences that continue one cached beginning, in two blocks: the beginning, and what is their own.

The beginning needs no mask, the rest is causal, so that each block has the fastest kernel, and the beginning is copied
for no sequence. The blocks are merged by the log-sum-exp of their weights, which is exact (B. Juravsky et al.,
Hydragen, arXiv 2402.05099, section 3.1; T. Dao et al., FlashAttention, arXiv 2205.14135, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.raters.lmm._prefix import Past

with extra("lmm"):
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

USUAL = "sdpa"  # the attention that this one stands for
NAME = "avreward_shared"
_beginning: ContextVar[Past | None] = ContextVar("beginning", default=None)


def attention_name(language: nn.Module) -> str:
    """Return the name of a language model's attention, as it was loaded."""
    name = str(getattr(language.config, "_attn_implementation", ""))
    return USUAL if name == NAME else name


def common_beginning(language: nn.Module, past: Past | None, rows: Sequence[int]) -> Past | None:
    """Return the beginning of one row that all `rows` of `past` are, if the two blocks can be computed.

    They are computed without gradients, on CPUs, in place of PyTorch's attention: the kernel gives its log-sum-exp, but
    no gradient for it.
    """
    if past is None or len(set(rows)) != 1 or torch.is_grad_enabled() or attention_name(language) != USUAL:
        return None
    row = rows[0]
    if past.mask.device.type != "cpu" or not bool(past.mask[row].all()):
        return None
    return Past(tuple((k[row : row + 1], v[row : row + 1]) for k, v in past.layers), past.mask[row : row + 1])


@contextmanager
def sharing(language: nn.Module, beginning: Past | None) -> Iterator[None]:
    """Let the language model's layers continue `beginning`; their cache gives them only what is their own."""
    if beginning is not None:
        _install(language)
    token = _beginning.set(beginning)
    try:
        yield
    finally:
        _beginning.reset(token)


def _install(language: nn.Module) -> None:
    """Use `attend` in each layer; outside `sharing` it is PyTorch's attention, so it may stay."""
    for module in language.modules():
        config = getattr(module, "config", None)
        if config is not None and getattr(config, "_attn_implementation", None) == USUAL:
            config._attn_implementation = NAME


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """Attention as `transformers` calls it: (rows, heads, length, width) each → (rows, length, heads, width)."""
    past = _beginning.get()
    if past is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    before = past.layers[module.layer_idx]  # type: ignore[index]
    some = query.shape[2] < key.shape[2]  # the last layer is asked for some tokens alone, by a mask
    if some or any(options.get(name) is not None for name in ("sliding_window", "softcap", "position_bias")):
        keys, values = (
            torch.cat([old.expand(len(own), -1, -1, -1), own], dim=-2)
            for old, own in zip(before, (key, value), strict=True)
        )
        return sdpa_attention_forward(module, query, keys, values, attention_mask, **options)
    scale = options.get("scaling")
    merged = merge(_to_beginning(query, *before, scale), _causal(query, key, value, scale))
    return merged.transpose(1, 2).contiguous(), None


def merge(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Tensor:
    """Return the attention to two sets of keys from that to each: (result (…, length, width), log-sum-exp (…, length)).

    >>> one, other = (torch.ones(1, 1), torch.zeros(1)), (torch.zeros(1, 1), torch.zeros(1))
    >>> merge(one, other)
    tensor([[0.5000]])
    """
    share = torch.sigmoid(one[1] - other[1]).unsqueeze(-1).to(one[0].dtype)
    return torch.lerp(other[0], one[0], share)


def _to_beginning(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> tuple[Tensor, Tensor]:
    """Attention without a mask to keys (1, groups, n, width) that all rows and all heads of a group have in common."""
    rows, heads, length, width = query.shape
    groups = key.shape[1]
    each = query.view(rows, groups, heads // groups, length, width).permute(1, 2, 0, 3, 4)
    out, total = _kernel(each.reshape(1, groups, -1, width), key, value, False, scale)
    out = out.view(groups, heads // groups, rows, length, -1).permute(2, 0, 1, 3, 4).reshape(rows, heads, length, -1)
    return out, total.view(groups, heads // groups, rows, length).permute(2, 0, 1, 3).reshape(rows, heads, length)


def _causal(query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> tuple[Tensor, Tensor]:
    """Attention to the own keys up to the same position; padding is at the end, where no token looks."""
    share = query.shape[1] // key.shape[1]
    return _kernel(query, key.repeat_interleave(share, 1), value.repeat_interleave(share, 1), True, scale)


def _kernel(query: Tensor, key: Tensor, value: Tensor, causal: bool, scale: float | None) -> tuple[Tensor, Tensor]:
    """Return the result, and the log-sum-exp of the scaled products (rows, heads, length)."""
    found: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, scale=scale
    )
    return found


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
