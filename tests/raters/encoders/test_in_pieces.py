"""Frames a few at a time give what all of them give together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avreward.raters.encoders import _in_pieces as pieces
from avreward.raters.encoders._in_pieces import in_pieces
from avreward.raters.encoders.stc import StcConnector


def counted(seen: list[int], axis: int = 0):
    def network(frames: Tensor) -> Tensor:
        seen.append(frames.shape[axis])
        return frames * 2

    return network


@pytest.mark.parametrize("axis", [0, 1])
def test_a_few_at_a_time_without_a_graph(axis: int) -> None:
    frames, seen = torch.rand(5, 5), []
    assert torch.equal(in_pieces(counted(seen, axis), frames, nn.Identity(), axis), frames * 2)
    assert seen == [2, 2, 1]


@pytest.mark.parametrize("recorded", ["input", "weights", "nothing, gradients are off"])
def test_all_at_once_where_the_graph_keeps_everything(recorded: str) -> None:
    owner, seen = nn.Linear(2, 2).requires_grad_(recorded == "weights"), []
    frames = torch.rand(4, 2, requires_grad=recorded == "input")
    with torch.set_grad_enabled(not recorded.startswith("nothing")):
        in_pieces(counted(seen), frames, owner)
    assert seen == ([2, 2] if recorded.startswith("nothing") else [4])


@pytest.mark.parametrize(("clips", "frames"), [(1, 6), (2, 4), (2, 7)])
def test_the_connector(clips: int, frames: int, monkeypatch) -> None:
    torch.manual_seed(0)
    network = StcConnector(6, 8).requires_grad_(False)
    tokens = torch.randn(clips, frames, 49, 6)
    found = network(tokens)
    calls: list[int] = []
    network.s1.register_forward_hook(lambda *_: calls.append(1))
    network(tokens)
    assert len(calls) == frames // 2
    monkeypatch.setattr(pieces, "PIECE", 10**9)
    torch.testing.assert_close(found, network(tokens), rtol=1e-5, atol=1e-6)
