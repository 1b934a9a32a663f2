"""A tiny InternVL with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.media.rounding import Rounding
from avreward.raters.lmm.backbones.internvl import InternVl


def tiny_internvl(rounding: Rounding = "straight_through", **options: Any) -> InternVl:
    """Two small layers in the encoder, which takes 28 × 28 pixels as four tokens, and two in the decoder."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"])
    config = InternVLConfig(
        vision_config={
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "image_size": [28, 28],
            "patch_size": [7, 7],
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": -(-len(tokenizer) // 8) * 8,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "pad_token_id": tokenizer.pad_token_id,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = InternVLForConditionalGeneration(config).eval().requires_grad_(False)
    return InternVl(module, tokenizer, rounding, **options)
