"""Attention whose bias by relative position is gated by each query (WavLM, arXiv:2110.13900, section III-B).

PyTorch has no kernel on CPUs that differentiates a bias; its plain attention keeps three matrices of weights of all
heads for the gradient. This one computes one head at a time, keeps no weights, and computes them again from their
log-sum-exp (FlashAttention, arXiv:2205.14135, appendix B).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.media._precision import widened

_ROWS = 256  # queries whose weights are computed again at a time: they stay in a core's cache


def gated_attention(query: Tensor, key: Tensor, value: Tensor, gate: Tensor, by_distance: Tensor) -> Tensor:
    """Return the attention with bias ``gate · by_distance[key − query]``, (b, heads, n, width).

    Args:
        query: float (b, heads, n, width), like `key` and `value`.
        key: see `query`.
        value: see `query`.
        gate: float (b, heads, n, 1), one for each query.
        by_distance: float (heads, 2n − 1), the bias of a key 1 − n, …, n − 1 tokens after the query.

    Example:
        >>> tokens = torch.ones(1, 2, 3, 4)
        >>> gated_attention(tokens, tokens, tokens, torch.ones(1, 2, 3, 1), torch.zeros(2, 5)).shape
        torch.Size([1, 2, 3, 4])
    """
    if query.device.type != "cpu":
        return _plain(query, key, value, gate, by_distance)
    # with the queries in reverse order the biases of a head are windows of its row: a view, no matrix
    reverse: Tensor = _Gated.apply(query.flip(-2), key, value, gate.flip(-2), by_distance)
    return reverse.flip(-2)


def by_position(by_distance: Tensor) -> Tensor:
    """Return the bias (heads, n queries, n keys) from that by distance, (heads, 2n − 1).

    >>> by_position(torch.tensor([[-1, 0, 1]]))
    tensor([[[ 0,  1],
             [-1,  0]]])
    """
    return _windows(by_distance).flip(-2)


def _windows(by_distance: Tensor) -> Tensor:
    return by_distance.unfold(-1, (by_distance.shape[-1] + 1) // 2, 1)


def _plain(query: Tensor, key: Tensor, value: Tensor, gate: Tensor, by_distance: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, attn_mask=gate * by_position(by_distance))


class _Gated(torch.autograd.Function):
    """`gated_attention` on a CPU; `query`, `gate` and the result are in reverse order of the queries."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, gate: Tensor, by_distance: Tensor) -> Tensor:
        found = []
        for head, windows in enumerate(_windows(by_distance)):
            one = slice(head, head + 1)
            mask = (gate[:, one] * windows).to(query.dtype)
            found.append(
                torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                    query[:, one], key[:, one], value[:, one], attn_mask=mask
                )
            )
        out, total = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        ctx.save_for_backward(query, key, value, gate, by_distance, out, total)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, out, total = ctx.saved_tensors  # once: checkpointing gives them out once
        if torch.is_grad_enabled():  # the gradient is to be differentiated itself
            return _differentiable(inputs, gradients[0], ctx.needs_input_grad)
        wide = [widened(each) for each in (*inputs, out, gradients[0], total)]
        found = _gradients(*wide, on_distances=ctx.needs_input_grad[4])
        return tuple(each.to(like.dtype) for each, like in zip(found, inputs, strict=True))


def _differentiable(inputs: Sequence[Tensor], gradient: Tensor, needed: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    query, key, value, gate, by_distance = inputs
    with torch.enable_grad():
        views = [each.view_as(each) for each in inputs]
        query, key, value, gate, by_distance = views
        out = _plain(query.flip(-2), key, value, gate.flip(-2), by_distance).flip(-2)
        asked = [each for each, wanted in zip(views, needed, strict=True) if wanted]
        found = iter(torch.autograd.grad(out, asked, gradient, create_graph=True))
    return tuple(next(found) if wanted else None for wanted in needed)


def _gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gate: Tensor,
    by_distance: Tensor,
    out: Tensor,
    gradient: Tensor,
    total: Tensor,
    *,
    on_distances: bool,
) -> tuple[Tensor, ...]:
    """Return the gradients on the first five; `gradient` is that on `out`, `total` the log-sum-exp of the weights."""
    n, scale = query.shape[-2], query.shape[-1] ** -0.5
    on_query, on_key, on_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
    on_gate, on_bias = torch.empty_like(gate), torch.zeros_like(by_distance)
    share = (out * gradient).sum(-1, keepdim=True)
    for head, windows in enumerate(_windows(by_distance)):
        keys, values = key[:, head] * scale, value[:, head]
        for start in range(0, n, _ROWS):
            at = (slice(None), head, slice(start, start + _ROWS))
            bias = windows[at[2]]
            weights = torch.matmul(query[at], keys.mT).addcmul_(gate[at], bias)
            weights.sub_(total[at].unsqueeze(-1)).exp_()
            on_value[:, head] += torch.matmul(weights.mT, gradient[at])
            changes = torch.matmul(gradient[at], values.mT).sub_(share[at]).mul_(weights)
            on_query[at] = torch.matmul(changes, keys)
            on_key[:, head] += torch.matmul(changes.mT, query[at])
            on_gate[at] = torch.mul(changes, bias, out=weights).sum(-1, keepdim=True)
            if on_distances:
                rows = torch.mul(changes, gate[at], out=weights).sum(0)
                at_distances = slice(start, start + len(rows) + n - 1)
                on_bias[head, at_distances] += torch.ops.aten.unfold_backward(rows, [len(rows) + n - 1], 0, n, 1)
    return on_query, on_key * scale, on_value, on_gate, on_bias
