"""What layers keep for their gradient: which results, that they are not computed again, and until when."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.modeling_layers import GradientCheckpointingLayer

from avreward.raters.checkpoints import _shelf
from avreward.raters.checkpoints._activation_checkpointing import checkpointed
from avreward.raters.checkpoints._shelf import Shelf


class FeedForward(GradientCheckpointingLayer):
    """It changes the results of its linear layers in place."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(4, 12, bias=bias), nn.Linear(12, 4, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.wide(x).mul_(2).sigmoid()
        narrow = self.narrow(wide)
        narrow += x
        return narrow.tanh() * x


def layer(bias: bool = True, trained: bool = False) -> FeedForward:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FeedForward(bias).double().requires_grad_(trained).eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Products(TorchDispatchMode):
    """Counts matrix products by the columns of the result."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name in ("aten::mm", "aten::addmm", "aten::bmm"):
            self.columns[out.shape[-1]] += 1
        return out


@pytest.mark.parametrize("trained", [False, True], ids=["one node", "checkpoint"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("block", [64, 2**20], ids=["large", "small"])
@pytest.mark.parametrize("pieces", [False, True])
def test_maps_to_fewer_numbers_are_not_computed_again(
    trained: bool, bias: bool, block: int, pieces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shelf, "_BLOCK", block)
    module = layer(bias, trained)
    at = noise(2, 6, 4).requires_grad_()
    x = at[:, :3] if pieces else at  # rows that lie apart, or side by side
    leaves = [at, *module.parameters()] if trained else [at]
    expected = torch.autograd.grad(module(x).square().sum(), leaves)
    with checkpointed(module, "selective"):
        out = module(x)
    for turn in range(2):  # what is kept must not have changed
        with Products() as counted:
            found = torch.autograd.grad(out.square().sum(), leaves, retain_graph=turn == 0)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        # the gradient of the narrow one has 12 columns, too; of trained weights, one more each
        assert counted.columns == Counter({12: 3 if trained else 2, 4: 2 if trained else 1})


def test_what_is_kept_goes_after_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the layer's result is there, which holds the graph."""
    monkeypatch.setattr(Shelf, "put", lambda _, tensor: tensor.detach().clone())  # a block would stay for the next ones
    module, at = layer(), noise(3, 4).requires_grad_()
    with checkpointed(module, "selective"):
        out = module(at)
    storage = weakref.ref(out.grad_fn.saved_tensors[1].untyped_storage())  # type: ignore[union-attr]
    there = []
    for again in (True, False):
        torch.autograd.grad(out.sum(), at, retain_graph=again)
        there.append(storage() is not None)
    assert there == [True, False]
