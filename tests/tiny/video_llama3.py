"""A tiny VideoLLaMA 3 with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.media.rounding import Rounding
from avreward.raters.lmm.backbones.video_llama3 import VideoLlama3


def tiny_video_llama3(rounding: Rounding = "straight_through", **options: Any) -> VideoLlama3:
    """Two small layers in the encoder, with tokens of 8 × 8 pixels, and two in the decoder."""
    from transformers import VideoLlama3Config, VideoLlama3ForConditionalGeneration

    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"])
    config = VideoLlama3Config(
        vision_config={
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "patch_size": 4,
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
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = VideoLlama3ForConditionalGeneration(config).eval().requires_grad_(False)
    return VideoLlama3(module, tokenizer, rounding, **{"min_pixels": 64, **options})
