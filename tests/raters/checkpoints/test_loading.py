"""How a network is loaded."""

from __future__ import annotations

import pytest
import torch
from lmm_checks import noise
from torch import nn

from avreward.errors import ArgumentError
from avreward.raters.checkpoints.loading import Loading


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"attention": "flash"},
            "attention: expected one of sdpa, eager, .*, got 'flash'$",
        ),
        ({"rounding": "up"}, "rounding: expected one of exact, .*, got 'up'"),
        (
            {"dtype": "int8"},
            "dtype: expected one of float32, bfloat16, float16, float64, got 'int8'",
        ),
        ({"dtype": "bf16"}, "dtype: expected .*, got 'bf16'"),
        ({"dtype": torch.int64}, "dtype: expected .*, got torch.int64"),
        ({"dtype": "nn"}, "dtype: expected .*, got 'nn'"),
        ({"dtype": "float8_e4m3fn"}, "dtype: expected .*, got 'float8_e4m3fn'"),
        ({"device": 1.5}, "device: expected a device such as .*, got 1.5"),
        ({"device": "mps"}, "device: expected a device of this machine, got 'mps'"),
        ({"checkpointing": "no"}, "checkpointing: expected False, True, 'selective' or 'offload', got 'no'"),
        ({"checkpointing": 1}, "checkpointing: expected False, True, 'selective' or 'offload', got 1"),
        ({"allow": [5]}, r"allow: expected a list of names, got \[5\]; pass a list such as"),
        ({"allow": 5}, "allow: expected a list of names, got 5"),
        (
            {"attention": "flash_attention_2"},
            "attention: .*\\(flash-attn\\), got 'flash_attention_2'; pip install flash-attn",
        ),
        ({"device": "quantum"}, "device: expected a device such as 'cpu' or 'cuda:0', got 'quantum'"),
        (
            {"device": "cpu", "device_map": "auto"},
            "device_map: expected either device or device_map, got both; leave one",
        ),
        (
            {"allow": "lm_head.weight"},
            r"allow: expected a list of names, got 'lm_head.weight'; pass \['lm_head.weight'\]",
        ),
    ],
)
def test_values_that_are_not_known(options, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Loading(**options)


def test_types_and_devices() -> None:
    assert Loading(dtype="bfloat16").torch_dtype == Loading(dtype=torch.bfloat16).torch_dtype == torch.bfloat16
    assert Loading(device="cpu").torch_dtype == torch.float32
    assert Loading(device="meta").torch_device == torch.device("meta")


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.tied = self.linear.weight
        self.register_buffer("kept", noise(3))
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("frequencies", noise(3), persistent=False)


def test_all_of_a_checkpoint_changes_its_type_and_nothing_else() -> None:
    network = Network()
    frequencies = network.frequencies.clone()
    Loading(device="cpu", dtype="bfloat16").placed(network)
    assert network.linear.weight.dtype == network.linear.bias.dtype == network.kept.dtype == torch.bfloat16
    assert network.count.dtype == torch.int64
    assert network.tied is network.linear.weight
    assert torch.equal(network.frequencies, frequencies)


def test_weights_that_may_be_missing_are_zeros() -> None:
    with torch.device("meta"):
        lacking = nn.Linear(2, 2)
    network = nn.Sequential(nn.Linear(2, 2), lacking)
    Loading(device="cpu", dtype="float64").placed(network)
    assert not network[1].weight.any()
    assert network[1].weight.dtype == torch.float64
    assert network[0].weight.any()


@pytest.mark.parametrize("where", ["auto", {"": "cpu"}])
def test_a_map_of_devices(where) -> None:
    network = Loading(device_map=where, dtype="bfloat16").placed(Network())
    assert network.linear(torch.ones(2, dtype=torch.bfloat16)).shape == (2,)


def test_a_map_with_holes() -> None:
    with pytest.raises(ArgumentError, match=r"device_map: .* any device for the following parameters: 1.weight"):
        Loading(device_map={"0": "cpu"}).placed(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there() -> None:
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ArgumentError, match=f"device: .* this machine, got '{device}'; use 'cpu', or leave it out"):
            Loading(device=device)
