"""Tiny networks of AVBench that look at lips and frames, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from golden_weights import golden_weight

from avreward.raters.avbench import SyncNet, SyncNetConfig, SyncNetRater

SYNCNET = SyncNetConfig((3, 4, 4, 4, 4, 6), (2, 2, 2, 2, 2, 4), 8, 6)


def tiny_syncnet(**options: Any) -> SyncNetRater:
    """SyncNet of a few channels; its frames are 224 × 224 all the same."""
    return SyncNetRater(syncnet_network(), **options)


def syncnet_network() -> SyncNet:
    """Return a network whose embeddings change with lips and speech."""
    network = SyncNet(SYNCNET)
    network.load_state_dict({name: golden_weight(name, value.shape) for name, value in network.state_dict().items()})
    return network


def write_tiny_syncnet(folder: Path, wrapped: str = "") -> Path:
    """Write a tiny checkpoint as it is published, alone or under a name, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = syncnet_network().state_dict()
    torch.save({wrapped: state} if wrapped else state, folder / "syncnet_v2.model")
    return folder
