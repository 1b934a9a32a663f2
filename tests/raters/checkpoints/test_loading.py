"""How a network is put into memory."""

from __future__ import annotations

import pytest
import torch
from lmm_checks import noise
from torch import nn

from avreward.errors import AvrewardError
from avreward.raters.checkpoints.loading import Loading


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attention": "flash"}, "attention: 'flash' isn't known; use one of sdpa, eager"),
        ({"rounding": "up"}, "rounding: 'up' isn't a mode; use one of exact"),
        (
            {"dtype": "int8"},
            "dtype: 'int8' isn't a type that networks run in; use one of float32, bfloat16, float16, float64",
        ),
        ({"dtype": "bf16"}, "dtype: 'bf16' isn't a type that networks run in"),
        ({"dtype": torch.int64}, "dtype: torch.int64 isn't a type that networks run in"),
        ({"dtype": "nn"}, "dtype: 'nn' isn't a type that networks run in"),
        ({"dtype": "float8_e4m3fn"}, "dtype: 'float8_e4m3fn' isn't a type"),
        ({"device": 1.5}, "device: 1.5 isn't one"),
        ({"device": "mps"}, "device: there is no mps here"),
        ({"checkpointing": "no"}, "checkpointing: 'no' is neither True nor False"),
        ({"allow": [5]}, r"allow: \[5\] isn't a list of names"),
        ({"allow": 5}, "allow: 5 isn't a list of names"),
        ({"attention": "flash_attention_2"}, "needs the package flash-attn; pip install flash-attn"),
        ({"device": "quantum"}, "device: 'quantum' isn't one; use such as 'cpu'"),
        ({"device": "cpu", "device_map": "auto"}, "device and device_map exclude each other"),
        ({"allow": "lm_head.weight"}, r"allow: 'lm_head.weight' is a single name; pass a list, such as \['lm_head"),
    ],
)
def test_values_that_are_not_known(options, said: str) -> None:
    with pytest.raises(AvrewardError, match=said):
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
    with pytest.raises(AvrewardError, match=r"device_map: .* any device for the following parameters: 1.weight"):
        Loading(device_map={"0": "cpu"}).placed(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there() -> None:
    for device in ("cuda", "cuda:1"):
        with pytest.raises(AvrewardError, match=f"device: there is no {device} here; use 'cpu', or leave it out"):
            Loading(device=device)
