"""A tiny AIGVEval with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.raters.aigveval import AigvEvalConfig, AigvEvalNetwork, AigvEvalRater, AigvEvalViews
from avreward.raters.aigveval._backbone import AigvEvalBackbone
from avreward.raters.encoders import SlowFastConfig, Swin3dConfig

VIEWS = AigvEvalViews(frames=4, dense=8, side=32, grid=3, patch=8)
HEADS = {"num_attention_heads": 2, "rms_norm_eps": 1e-6, "vision_config": {"num_attention_heads": 2}}
"""What a published checkpoint's shapes do not show."""


def tiny_config(**changes: Any) -> AigvEvalConfig:
    """Return sizes that the entries of a published checkpoint show, but for `HEADS`."""
    return replace(
        AigvEvalConfig(
            vision={
                "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                "image_size": 32, "patch_size": 16, "layer_norm_eps": 1e-6, "hidden_act": "gelu",
            },
            language={
                "vocab_size": len(tokenizer()), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
                "max_position_embeddings": 4096,
            },
            motion=SlowFastConfig(depths=(1, 1), width=16),
            technical=Swin3dConfig(width=8, depths=(1, 2), heads=(1, 2), window=(2, 3, 3), gated=(False, False)),
            positions=40,
        ),
        **changes,
    )  # fmt: skip


def tokenizer() -> Any:
    """Return a tokenizer whose sequences begin with ``</s>``."""
    made = tiny_tokenizer(["</s>", "[PAD]"])
    made.add_special_tokens({"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "[PAD]"})
    return made


def tiny_network(config: AigvEvalConfig | None = None) -> AigvEvalNetwork:
    """Return weights large enough for scores that differ from clip to clip."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AigvEvalNetwork(config or tiny_config())
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=(4 if "lm_head" in name else 1.2) / weight[0].numel() ** 0.5)
        return network


def tiny_aigveval(rounding: Any = "straight_through", views: AigvEvalViews = VIEWS, **options: Any) -> AigvEvalRater:
    """Return a rater of four key frames of 32 × 32 pixels, eight dense ones, and fragments of 24 × 24."""
    sizes = {name: options.pop(name) for name in ("encoders", "combination") if name in options}
    backbone = AigvEvalBackbone(tiny_network(tiny_config(**sizes)), tokenizer(), rounding, views)
    return AigvEvalRater(backbone, **{"temperature": 1.0, **options})


def write_tiny_aigveval(folder: Path, rank: int = 2) -> Path:
    """Write a tiny checkpoint as it is published, with LoRA apart, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **HEADS}))
    state = published(tiny_network().state_dict())
    torch.save({"state_dict": with_lora(state, rank), "epoch": 3}, folder / "aigveval.pth")
    return folder


def published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return entries under the names of the published code."""
    from avreward.raters.aigveval._keys import _BLOCK, _PREFIXES

    out = {}
    for name, tensor in state.items():
        old, new = next((old, new) for old, new in _PREFIXES.items() if name.startswith(new))
        rest = name.removeprefix(new)
        if old == "blip.blocks.":
            for there, ours in _BLOCK.items():
                rest = rest.replace(ours, there)
        out[(old + rest).replace("llm_model.", "llm_model.base_model.model.", 1)] = tensor
    return out


def with_lora(state: dict[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """Return entries with the last part of the query and value projections as an adapter of `rank`, alpha 16."""
    out = {}
    generator = torch.Generator().manual_seed(5)
    for name, tensor in state.items():
        if ".q_proj." not in name and ".v_proj." not in name:
            out[name] = tensor
            continue
        stem = name.removesuffix(".weight")
        down = torch.randn(rank, tensor.shape[1], generator=generator)
        up = torch.randn(tensor.shape[0], rank, generator=generator) / 8
        out |= {f"{stem}.lora_A.default.weight": down, f"{stem}.lora_B.default.weight": up}
        out[f"{stem}.base_layer.weight"] = tensor - up @ down * (16 / rank)
    return out
