"""Tensors that no network of videos can read get one clear error; small videos are read."""

from __future__ import annotations

import pytest
import torch

from avreward.errors import ArgumentError
from avreward.raters.encoders import ConvNext3d, SlowFast, SlowFastConfig, Swin3d, Swin3dConfig
from avreward.raters.encoders.slowfast import slow_frames

SWIN = Swin3dConfig(width=8, depths=(1, 2), heads=(1, 2), window=(2, 3, 3), gated=(True, False))


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    slowfast = SlowFast(SlowFastConfig(depths=(1, 1), width=16))
    return {
        "slowfast": lambda video: slowfast(slow_frames(video), video)[0],
        "fast pathway": slowfast.eval().fast,
        "swin": Swin3d(SWIN).eval(),
        "convnext": ConvNext3d((1, 2), (8, 16)).eval(),
    }


@pytest.mark.parametrize(
    "shape", [(3, 8, 32, 32), (1, 1, 8, 32, 32), (1, 3, 0, 32, 32), (0, 3, 8, 32, 32), (1, 3, 8, 0, 9)]
)
def test_what_is_no_batch_of_videos(networks, shape) -> None:
    for network in networks.values():
        with pytest.raises(ArgumentError, match=r"expected a tensor \(batch, 3, frames, height, width\).*, got \("):
            network(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 3, 1, 40, 40), (1, 3, 8, 1, 1), (2, 3, 3, 2, 90)])
@torch.no_grad()
def test_few_frames_and_pixels(networks, shape) -> None:
    for name, network in networks.items():
        if name != "convnext":
            assert network(torch.rand(shape)).isfinite().all()
    with pytest.raises(ArgumentError, match=r"with 2 frames and 8 pixels a side or more, got \("):
        networks["convnext"](torch.rand(shape))
    assert networks["convnext"](torch.rand(1, 3, 2, 8, 8)).shape == (1, 16, 1, 1, 1)
