"""Tiny Qwen-Omni thinkers with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer
from torch import nn

from avreward.media.rounding import Rounding
from avreward.raters.lmm.backbones.qwen2_5_omni import Qwen2_5Omni
from avreward.raters.lmm.backbones.qwen3_omni import Qwen3Omni

SEEN_2_5 = ["<|vision_bos|>", "<|IMAGE|>", "<|VIDEO|>", "<|vision_eos|>"]
HEARD_2_5 = ["<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]
SEEN_3 = ["<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>"]
HEARD_3 = ["<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"]


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
    small = {"min_pixels": 4 * 28**2, "max_pixels": 16 * 28**2}
    module = seeded(Qwen2_5OmniThinkerForConditionalGeneration, config)
    return Qwen2_5Omni(module, tokenizer, rounding, **small | options)


def tiny_qwen3_omni(rounding: Rounding = "straight_through", **options: Any) -> Qwen3Omni:
    """A tower of four small layers, of which two feed the first two of three in the decoder, each of four experts."""
    from transformers import Qwen3OmniMoeThinkerForConditionalGeneration
    from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeThinkerConfig

    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", *SEEN_3, *HEARD_3])
    token = tokenizer.convert_tokens_to_ids
    config = Qwen3OmniMoeThinkerConfig(
        audio_config={
            "d_model": 16,
            "encoder_layers": 2,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "downsample_hidden_size": 4,
            "output_dim": 32,
        },
        vision_config={
            "depth": 4,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [1, 2],
        },
        text_config={
            "vocab_size": -(-len(tokenizer) // 8) * 8,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "moe_intermediate_size": 16,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2, 1, 1],
                "mrope_interleaved": True,
            },
            "pad_token_id": tokenizer.pad_token_id,
        },
        position_id_per_seconds=13,
        audio_token_id=token("<|audio_pad|>"),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        audio_start_token_id=token("<|audio_start|>"),
        audio_end_token_id=token("<|audio_end|>"),
    )
    small = {"min_pixels": 4 * 32**2, "max_pixels": 16 * 32**2}
    module = seeded(Qwen3OmniMoeThinkerForConditionalGeneration, config)
    return Qwen3Omni(module, tokenizer, rounding, **small | options)


def seeded(network: Any, config: Any) -> nn.Module:
    """The network with its own random weights, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return network(config).eval().requires_grad_(False)
