"""Calls that keep little, and values that are bent instead of cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from avreward.rewards.latent._memory import Unclamped, bend, slim, slim_calls


@given(st.floats(-1e6, 1e6))
def test_bent_values_stay_near_and_keep_a_gradient(value):
    given_value = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    bent = bend(given_value, -0.25, 1.25, 0.25)
    bent.backward()
    assert -0.5 <= bent.item() <= 1.5
    assert 0 < given_value.grad <= 1
    if -0.25 <= value <= 1.25:
        assert bent.item() == value
        assert given_value.grad == 1


def test_bending_is_smooth_and_keeps_the_order():
    values = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)
    assert (bend(values, 0, 1, 0.25).diff() > 0).all()
    assert torch.autograd.gradcheck(lambda v: bend(v, 0.013, 1.017, 0.25), (values,))
    torch.testing.assert_close(bend(torch.tensor([1.25]), 0.0, 1.0, 0.25), torch.tensor([1.125]))


def test_only_the_last_clamp_is_left_out():
    values = torch.tensor([-3.0, 0.5, 3.0])
    with Unclamped():
        for left in (torch.clamp(values, -1, 1), values.clamp(min=-1.0, max=1.0), torch.clamp(values, -1.0, max=1)):
            assert left.tolist() == values.tolist()
        assert values.clamp(0, 1).tolist() == [0, 0.5, 1]
        assert values.clamp(min=-1).tolist() == [-1, 0.5, 3]
        assert values.clamp(-torch.ones(3), torch.ones(3)).tolist() == [-1, 0.5, 1]
    assert values.clamp(-1, 1).tolist() == [-1, 0.5, 1]


class Cell(nn.Module):
    """Remembers what it was given in a list that it changes, as Wan's decoder does."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, x: Tensor, feat_cache: list | None = None, feat_idx: list | None = None) -> Tensor:
        self.runs += 1
        if feat_cache is None:
            return x.sin()
        before, feat_cache[feat_idx[0]] = feat_cache[feat_idx[0]], x * x
        feat_idx[0] += 1
        return x.sin() if before is None else x.sin() * before


@pytest.mark.parametrize("keep", [True, False])
def test_a_cache_is_handed_on_and_computed_again(keep):
    cell, x = Cell(), torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    cache: list = [None]
    with slim_calls([cell], keep):
        first = cell(x, feat_cache=cache, feat_idx=[0])
        second = cell(2 * x, feat_cache=cache, feat_idx=[0])
    (first + second).sum().backward()
    plain = x.detach().clone().requires_grad_()
    (plain.sin() + (2 * plain).sin() * plain.square()).sum().backward()
    torch.testing.assert_close(x.grad, plain.grad)
    assert cell.runs == (2 if keep else 4)


def test_without_gradients_nothing_runs_twice():
    cell = Cell()
    with slim_calls([cell], keep=False):
        cell(torch.ones(2))
    assert cell.runs == 1
    assert slim(torch.sin, torch.zeros(1), keep=False) == 0


def test_an_outside_forward_is_put_back():
    """Accelerate's hooks replace `forward` on the instance."""
    cell = Cell()
    hooked = cell.forward
    cell.forward = lambda x: hooked(x) + 1
    outside = cell.forward
    with slim_calls([cell], keep=False):
        assert cell(torch.zeros(1)) == 1
    assert cell.forward is outside
