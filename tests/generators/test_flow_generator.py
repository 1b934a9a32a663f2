"""What the loops share of a generator: layers that are computed again in the backward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avreward.generators.flow_generator import _computed_again


class Outer(nn.Module):
    """A layer that checkpoints a layer of its own, as those of AudioLDM 2 do."""

    def __init__(self) -> None:
        super().__init__()
        self.gradient_checkpointing = True
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return x + (_computed_again(self.inner, x) if self.gradient_checkpointing else self.inner(x))


def test_a_layer_within_a_layer_is_computed_again_as_it_was():
    """Also where the network has stopped checkpointing before the backward pass."""
    torch.manual_seed(0)
    layer, x = Outer(), torch.randn(2, 4, requires_grad=True)
    (plain,) = torch.autograd.grad((x + layer.inner(x)).sum(), x)
    value = _computed_again(layer, x).sum()
    layer.gradient_checkpointing = False
    (again,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(again, plain)
    layer.gradient_checkpointing = True
    _computed_again(layer, x)
    assert layer.gradient_checkpointing
