"""Gated attention against PyTorch's plain attention, and what it keeps for its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks

from avreward.raters.encoders._gated_attention import _plain, by_position, gated_attention


def inputs(n: int, batch: int = 2, heads: int = 3, width: int = 4, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Query, key, value, gate and bias by distance, all of which require gradients."""
    generator = torch.Generator().manual_seed(n)
    shapes = [(batch, heads, n, width)] * 3 + [(batch, heads, n, 1), (heads, 2 * n - 1)]
    return [torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("n", [1, 2, 7, 300])  # 300: more queries than are computed again at a time
def test_it_is_plain_attention(n: int) -> None:
    at = inputs(n)
    out, plain = gated_attention(*at), _plain(*at)
    torch.testing.assert_close(out, plain, rtol=1e-10, atol=1e-10)
    weights = torch.randn_like(out)
    found, expected = (torch.autograd.grad((each * weights).sum(), at) for each in (out, plain))
    for one, other in zip(found, expected, strict=True):
        assert n == 1 or other.any()  # a single token attends to itself, whatever its bias
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_finite_differences() -> None:
    assert gradcheck(gated_attention, inputs(4, heads=2))
    assert gradgradcheck(gated_attention, inputs(3, batch=1, heads=2))


@pytest.mark.parametrize("wanted", range(5))
def test_one_gradient_alone(wanted: int) -> None:
    """The others are not asked for, as for frozen weights; twice, and once to be differentiated again."""
    at = [each.detach().requires_grad_(i == wanted) for i, each in enumerate(inputs(6))]
    (expected,) = torch.autograd.grad(_plain(*at).square().sum(), at[wanted])
    total = gated_attention(*at).square().sum()
    for again in (False, True, False):
        (found,) = torch.autograd.grad(total, at[wanted], retain_graph=True, create_graph=again)
        assert found.requires_grad is again
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions(dtype: torch.dtype) -> None:
    exact = inputs(40)
    rough = [each.detach().to(dtype).requires_grad_() for each in exact]
    pairs = [(gated_attention(*at), at) for at in (exact, rough)]
    each = [[out, *torch.autograd.grad(out.square().sum(), at)] for out, at in pairs]
    for one, other in zip(*each, strict=True):
        assert other.dtype == dtype
        assert float((one - other).detach().abs().max()) < 30 * torch.finfo(dtype).eps * float(one.detach().abs().max())


def test_no_weights_are_kept() -> None:
    at, kept = inputs(200), []
    with saved_tensors_hooks(
        lambda tensor: kept.append(tensor.untyped_storage().nbytes()) or tensor, lambda tensor: tensor
    ):
        gated_attention(*at)
    assert kept
    assert max(kept) <= max(each.nbytes for each in at)


def test_biases_by_position() -> None:
    table = torch.arange(10.0).view(2, 5)
    for head, query, key in ((0, 0, 0), (1, 0, 2), (1, 2, 0)):
        assert by_position(table)[head, query, key] == table[head, 2 + key - query]
