"""Folders of a tiny AIGV-Assessor in the original's layout, with the names of the reference cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from golden_weights import golden_weight
from safetensors.torch import save_file
from tiny.assessor import MOTION, TOKENIZER
from torch import Tensor

from avreward.raters.encoders.slowfast import SlowFast

CASES = Path(__file__).parent / "goldens"
SIDE = 112


def original_config(case: str = "aigv_assessor") -> dict[str, Any]:
    """Return the ``config.json`` of a case, for smaller frames and the tiny tokenizer."""
    sizes = json.loads((CASES / case / "case.json").read_text())["config"]
    vision = {**sizes["vision"], "image_size": SIDE, "patch_size": SIDE // 4}
    language = {**sizes["llm"], "vocab_size": len(TOKENIZER)}
    return {
        "model_type": "internvl_chat",
        "architectures": ["InternVLChatModel"],
        "vision_config": vision,
        "llm_config": language,
        "template": "internlm2-chat",
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
    }


def original_state(case: str = "aigv_assessor") -> dict[str, Tensor]:
    """Return the weights of a case by its names, for the sizes of `original_config` and a tiny SlowFast."""
    data = json.loads((CASES / case / "case.json").read_text())
    slowfast = tiny_slowfast()
    features = sum(MOTION_WIDTHS)
    state = {}
    for name, shape, _ in data["state_dict"]:
        if "patch_embedding.weight" in name:
            shape = [*shape[:2], SIDE // 4, SIDE // 4]
        if "position_embedding" in name:
            shape = [1, 17, shape[2]]
        if "tok_embeddings" in name or ("language_model" in name and name.endswith("output.weight")):
            shape = [len(TOKENIZER), *shape[1:]]
        if name.startswith("motion_mlp."):
            shape = [features if size == 2304 else size for size in shape]
        state[name] = golden_weight(name, shape)
    return state | {name.replace("blocks.", "slowfast_model.feature_extraction.", 1): t for name, t in slowfast.items()}


def tiny_slowfast() -> dict[str, Tensor]:
    """Return the weights of a tiny SlowFast by the names of the public one."""
    with torch.device("meta"):
        shapes = SlowFast(MOTION).state_dict()
    return {name: golden_weight(name, tuple(tensor.shape)) for name, tensor in shapes.items()}


def write_original(folder: Path, case: str = "aigv_assessor") -> Path:
    """Write the folder as the original's training code does."""
    folder.mkdir(parents=True)
    save_file(original_state(case), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(original_config(case)))
    TOKENIZER.save_pretrained(folder)
    return folder


with torch.device("meta"):
    MOTION_WIDTHS = SlowFast(MOTION).widths
