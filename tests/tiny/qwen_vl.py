"""Tiny Qwen-VL models with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer
from torch import nn

from avreward.media.rounding import Rounding
from avreward.raters.lmm.backbones.qwen2_5_vl import Qwen2_5Vl
from avreward.raters.lmm.backbones.qwen2_vl import Qwen2Vl
from avreward.raters.lmm.backbones.qwen3_vl import Qwen3Vl

SMALL = {"min_pixels": 4 * 28**2, "max_pixels": 16 * 28**2}
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>"]
TOKENIZER = tiny_tokenizer(SPECIAL)
IDS = {
    "image_token_id": TOKENIZER.convert_tokens_to_ids("<|image_pad|>"),
    "video_token_id": TOKENIZER.convert_tokens_to_ids("<|video_pad|>"),
    "vision_start_token_id": TOKENIZER.convert_tokens_to_ids("<|vision_start|>"),
    "vision_end_token_id": TOKENIZER.convert_tokens_to_ids("<|vision_end|>"),
}
TEXT = {
    "vocab_size": -(-len(TOKENIZER) // 8) * 8,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": TOKENIZER.pad_token_id,
    "bos_token_id": None,
    "eos_token_id": None,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
}


def tiny_qwen2_vl(rounding: Rounding = "straight_through", **options: Any) -> Qwen2Vl:
    """Two small layers in the tower and in the decoder."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    vision = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    config = Qwen2VLConfig(vision_config=vision, text_config=TEXT, **IDS)
    return Qwen2Vl(seeded(Qwen2VLForConditionalGeneration, config), TOKENIZER, rounding, **SMALL | options)


def tiny_qwen2_5_vl(rounding: Rounding = "straight_through", **options: Any) -> Qwen2_5Vl:
    """Two small layers in the tower, whose windows are those of the real model, and in the decoder."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    }
    config = Qwen2_5_VLConfig(vision_config=vision, text_config=TEXT, **IDS)
    return Qwen2_5Vl(seeded(Qwen2_5_VLForConditionalGeneration, config), TOKENIZER, rounding, **SMALL | options)


def tiny_qwen3_vl(rounding: Rounding = "straight_through", **options: Any) -> Qwen3Vl:
    """Four small layers in the tower, of which two feed the first two of three in the decoder."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = {
        "depth": 4,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [1, 2],
    }
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    text = TEXT | {"num_hidden_layers": 3, "head_dim": 8, "rope_parameters": rope}
    config = Qwen3VLConfig(vision_config=vision, text_config=text, **IDS)
    small = {"min_pixels": 4 * 32**2, "max_pixels": 16 * 32**2}
    return Qwen3Vl(seeded(Qwen3VLForConditionalGeneration, config), TOKENIZER, rounding, **small | options)


def seeded(network: Any, config: Any) -> nn.Module:
    """The network with its own random weights, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return network(config).eval().requires_grad_(False)
