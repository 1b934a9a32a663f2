"""A tiny DOVER with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from avreward.raters.dover import DoverConfig, DoverNetwork, DoverRater, DoverViews
from avreward.raters.encoders import Swin3dConfig

CONFIG = DoverConfig(
    Swin3dConfig(width=8, depths=(1, 2), heads=(1, 2), window=(2, 3, 3), gated=(True, False)), (1, 2), (8, 16), 4
)
VIEWS = DoverViews(clips=2, clip_frames=4, grid=3, patch=8, aesthetic_frames=6, side=32)


def tiny_dover(variant: Any = "dover", views: DoverViews = VIEWS, **options: Any) -> DoverRater:
    """DOVER of two clips of four frames of 24 × 24 pixels, and six whole frames of 32 × 32."""
    return DoverRater(tiny_network(), variant, views, **options)


def tiny_network() -> DoverNetwork:
    """Return a network whose scores are in the middle of the range and differ from clip to clip."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DoverNetwork(CONFIG)
        for name, weight in network.named_parameters():
            if name.endswith("gamma") or "bias_table" in name:
                torch.nn.init.normal_(weight, std=0.3)
        for head, middle in ((network.technical_head, 0.1107), (network.aesthetic_head, -0.08285)):
            torch.nn.init.normal_(head.fc_last.weight, std=0.2)
            torch.nn.init.constant_(head.fc_last.bias, middle)
        return network


def write_tiny_dover(folder: Path, name: str = "DOVER.pth", wrapped: bool = False) -> Path:
    """Write a tiny checkpoint as it is published, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = tiny_network().state_dict()
    torch.save({"state_dict": state} if wrapped else state, folder / name)
    return folder
