"""Tiny Qwen-Omni thinkers with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.media.rounding import Rounding
from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni

SEEN_2_5 = ["<|vision_bos|>", "<|IMAGE|>", "<|VIDEO|>", "<|vision_eos|>"]
HEARD_2_5 = ["<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]


def tiny_qwen2_5_omni(rounding: Rounding = "straight_through", **options: Any) -> Qwen2_5Omni:
    """Two small layers in each tower and in the decoder; the towers' windows are those of the real model."""
    from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", *SEEN_2_5, *HEARD_2_5])
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5OmniThinkerConfig(
        audio_config={
            "d_model": 16,
            "encoder_layers": 2,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "output_dim": 32,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        text_config={
            "vocab_size": -(-len(tokenizer) // 8) * 8,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
            "pad_token_id": tokenizer.pad_token_id,
        },
        audio_token_index=token("<|AUDIO|>"),
        image_token_index=token("<|IMAGE|>"),
        video_token_index=token("<|VIDEO|>"),
        vision_start_token_id=token("<|vision_bos|>"),
        vision_end_token_id=token("<|vision_eos|>"),
        audio_start_token_id=token("<|audio_bos|>"),
        audio_end_token_id=token("<|audio_eos|>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Qwen2_5OmniThinkerForConditionalGeneration(config).eval().requires_grad_(False)
    return Qwen2_5Omni(module, tokenizer, rounding, **{"min_pixels": 4 * 28**2, "max_pixels": 16 * 28**2} | options)
