"""The connector against the original at a small size, and what holds for every input."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from avreward.errors import ArgumentError
from avreward.raters.encoders.stc import StcConnector


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def connector(channels_in: int = 6, channels_out: int = 8) -> StcConnector:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return StcConnector(channels_in, channels_out).requires_grad_(False)


@pytest.mark.golden(case="agav_stc")
def test_the_original(golden) -> None:
    tensors = golden.tensors()
    network = StcConnector(golden.data["config"]["mm_hidden_size"], golden.data["config"]["hidden_size"])
    network.load_state_dict(golden_state(golden.data))
    seen = {}
    parts = {"s1_block1": network.s1.b1, "s1": network.s1, "sampler": network.sampler, "s2": network.s2}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))

    out = network(tensors["frame_tokens"])
    for name in parts.keys() & tensors.keys():  # they locate an error
        golden.check(seen[name], tensors[name], "forward")
    golden.check(out, tensors["tokens"], "forward")
    frames = tensors["frame_tokens"].double().requires_grad_()  # in float32 it depends on the number of threads
    (found,) = torch.autograd.grad((network.double()(frames) * tensors["grad_weight"]).sum(), frames)
    golden.check(found, tensors["grad_frame_tokens"], "grad")


@pytest.mark.parametrize(("frames", "side", "tokens"), [(16, 27, 1352), (8, 27, 676), (3, 5, 4), (2, 2, 1)])
def test_every_axis_is_halved(frames: int, side: int, tokens: int) -> None:
    with torch.device("meta"):
        assert StcConnector(6, 8)(torch.zeros(2, frames, side * side, 6)).shape == (2, tokens, 8)


def test_the_last_of_an_odd_number_of_frames_is_left_out() -> None:
    tokens = noise(1, 5, 16, 6)
    assert torch.equal(connector()(tokens), connector()(tokens[:, :4]))


def test_order_is_time_then_rows_then_columns() -> None:
    network, tokens = connector(), noise(1, 4, 64, 6)
    for part in (*network.s1, *network.s2):  # without these a token depends on its eight sources alone
        part.conv2.conv.weight.zero_()
        part.conv2.conv.weight[:, :, 1, 1] = 1
        part.se.fc2.weight.zero_()
    whole = network(tokens)
    for time, row, column in ((0, 0, 0), (1, 0, 3), (0, 2, 1), (1, 3, 0)):
        changed = tokens.clone().unflatten(2, (8, 8))
        changed[:, 2 * time + 1, 2 * row, 2 * column + 1] += 1
        moved = (network(changed.flatten(2, 3)) - whole).abs().amax(-1)[0] > 1e-5
        assert moved.nonzero().flatten().tolist() == [16 * time + 4 * row + column]


def test_clips_in_a_batch_make_no_difference() -> None:
    network, tokens = connector(), noise(3, 4, 9, 6)
    torch.testing.assert_close(network(tokens)[1:2], network(tokens[1:2]), rtol=0, atol=1e-5)


def test_gradient(check_gradient) -> None:
    check_gradient(connector().double(), noise(2, 3, 25, 6), rtol=1e-4)


def test_blocks_can_be_checkpointed() -> None:
    assert sum(isinstance(part, GradientCheckpointingLayer) for part in connector().modules()) == 8


@pytest.mark.parametrize("shape", [(1, 4, 24, 6), (1, 1, 25, 6), (1, 4, 1, 6)])
def test_what_cannot_be_halved_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ArgumentError, match=r"tokens: expected a tensor \(b, frames ≥ 2, side², .*, got a Tensor of shape"
    ):
        connector()(torch.zeros(shape))
