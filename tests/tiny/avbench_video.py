"""Tiny networks of AVBench that look at lips and frames, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from golden_weights import golden_weight
from safetensors.torch import save_file
from torch import Tensor

from avreward.raters.avbench import (
    AestheticConfig,
    AestheticNetwork,
    AestheticRater,
    SyncNet,
    SyncNetConfig,
    SyncNetRater,
)
from avreward.raters.embedding._frames import Pictures

SYNCNET = SyncNetConfig((3, 4, 4, 4, 4, 6), (2, 2, 2, 2, 2, 4), 8, 6)

VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 24,
    "patch_size": 8,
}  # fmt: skip
AESTHETIC = AestheticConfig(VISION, (16, 12, 8, 1))


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


def tiny_aesthetic(**options: Any) -> AestheticRater:
    """The aesthetic predictor on frames of 24 × 24 pixels."""
    network = AestheticNetwork(AESTHETIC)
    network.load_state_dict(_aesthetic_state())
    return AestheticRater(network, Pictures((24, 24)), **options)


def write_tiny_aesthetic(folder: Path, siglip: Path | None = None) -> Path:
    """Write a tiny head as it is published, and SigLIP in the layout of transformers beside it or to `siglip`."""
    place = siglip or folder
    for made in (folder, place):
        made.mkdir(parents=True, exist_ok=True)
    state = _aesthetic_state()
    head = {name.removeprefix("layers."): value for name, value in state.items() if name.startswith("layers.")}
    torch.save(head, folder / "aesthetic_predictor_v2_5.pth")
    tower = {name: value for name, value in state.items() if name.startswith("vision_model.")}
    save_file({**tower, "text_model.final_layer_norm.weight": torch.zeros(4)}, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps({"model_type": "siglip", "vision_config": VISION}))
    return folder


def _aesthetic_state() -> dict[str, Tensor]:
    network = AestheticNetwork(AESTHETIC)
    return {name: golden_weight(name, value.shape) for name, value in network.state_dict().items()}
