"""Layers that leave one node in the graph: their gradients, and which layers cannot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from transformers.modeling_layers import GradientCheckpointingLayer

from avreward.raters.checkpoints import _activation_checkpointing as checkpointing
from avreward.raters.checkpoints._activation_checkpointing import checkpointed
from avreward.raters.checkpoints._rerun import can_rerun

WAYS = [True, "selective"]


class GatedMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 4)
        self.tokens: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.tokens.append(x.shape[-2])
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Decoder(GradientCheckpointingLayer):
    """A layer like those of `transformers`; it returns a tensor, or also what `extra` says."""

    def __init__(self, extra: Any = None) -> None:
        super().__init__()
        self.mlp, self.extra = GatedMlp(), extra

    def forward(self, x: Tensor, scale: Tensor | None = None, cache: Any = None) -> Any:
        if cache is not None:
            cache.entry = x.sin()
        out = x + self.mlp(x.tanh() if scale is None else x * scale)
        return out if self.extra is None else (out, self.extra)


def layer(**options: Any) -> Decoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Decoder(**options).double().requires_grad_(False).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("way", WAYS)
def test_it_leaves_one_node_and_can_be_differentiated_again(way: Any) -> None:
    module = layer()

    def again(x: Tensor) -> Tensor:
        with checkpointed(module, way):
            return module(x)

    at = noise(1, 3, 4)
    assert "Rerun" in again(at).grad_fn.name()
    assert gradcheck(again, at)
    assert gradgradcheck(again, at)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["trained", "training", "cache", "scale", "tuple", "autocast"])
def test_other_layers_have_the_same_gradients(way: Any, kind: str) -> None:
    """Of weights, of other arguments, of what a cache keeps, and of one of several results."""
    module, found = layer(extra="more" if kind == "tuple" else None), []
    module.requires_grad_(kind == "trained").train(kind == "training")
    for on in (False, way):
        at, scale, cache = noise(2, 3, 4), noise(3, 4), SimpleNamespace(entry=torch.zeros(()))
        options = {"cache": cache if kind == "cache" else None, "scale": scale if kind == "scale" else None}
        with checkpointed(module, on), torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
            out = module(at, **options)
        out = out[0] if kind == "tuple" else out
        assert on is False or ("Rerun" not in out.grad_fn.name())
        leaves = [at, *(module.parameters() if kind == "trained" else []), *([scale] if kind == "scale" else [])]
        found.append(torch.autograd.grad(out.square().sum() + cache.entry.sum(), leaves))
    for one, other in zip(*found, strict=True):
        assert other.any()
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_what_the_arguments_may_be() -> None:
    at, still = noise(2), noise(2).detach()
    assert can_rerun((at, still, None, 3), {"position_embeddings": (still, [still]), "use_cache": False})
    assert can_rerun((at,), {"past_key_values": SimpleNamespace(passes_on=True)})
    assert not can_rerun((at,), {"past_key_values": SimpleNamespace(passes_on=False)})
    for args, kwargs in (((still,), {}), ((), {"x": at}), ((at, at), {}), ((at,), {"x": (still, at)}), ((at, {}), {})):
        assert not can_rerun(args, kwargs)


@pytest.mark.parametrize("way", WAYS)
def test_tokens_of_an_mlp_are_computed_in_pieces(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "_TOKENS", 4)
    module, at = layer(), noise(1, 10, 4)
    (expected,) = torch.autograd.grad(module(at).square().sum(), at)
    module.mlp.tokens.clear()
    with checkpointed(module, way):
        out = module(at)
    (found,) = torch.autograd.grad(out.square().sum(), at)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert module.mlp.tokens == [4, 4, 2] * 2  # after the context too, or else two passes would differ
    assert "forward" not in vars(module.mlp)
