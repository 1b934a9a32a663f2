"""A tiny Qwen2-Audio with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.media.rounding import Rounding
from avreward.raters.lmm.backbones.qwen2_audio import Qwen2Audio


def tiny_qwen2_audio(rounding: Rounding = "straight_through", **options: Any) -> Qwen2Audio:
    """Two small layers in the encoder, which takes 30 s as the real one does, and two in the decoder."""
    from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"])
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 128,
            "d_model": 8,
            "encoder_layers": 2,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
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
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Qwen2AudioForConditionalGeneration(config).eval().requires_grad_(False)
    return Qwen2Audio(module, tokenizer, rounding, **options)
