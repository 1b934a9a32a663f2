"""A tiny MusicGen with random weights: what it makes shows nothing, and takes no time."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer


def tiny_musicgen(seed: int = 0) -> tuple[Any, Any]:
    """Return a `MusicgenForConditionalGeneration` with two codebooks, and its tokenizer; audio at 1.6 kHz.

    >>> model, tokenizer = tiny_musicgen()
    >>> model.decoder.num_codebooks, model.config.audio_encoder.sampling_rate
    (2, 1600)
    """
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    tokenizer = tiny_tokenizer()
    text = T5Config(vocab_size=len(tokenizer), d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    codec = EncodecConfig(
        target_bandwidths=[0.8], sampling_rate=1600, audio_channels=1, num_filters=2, num_residual_layers=1,
        upsampling_ratios=[4, 4], codebook_size=16, codebook_dim=8, hidden_size=8, num_lstm_layers=1,
        use_causal_conv=True, norm_type="weight_norm",
    )  # fmt: skip
    decoder = MusicgenDecoderConfig(
        vocab_size=16, max_position_embeddings=64, num_hidden_layers=1, ffn_dim=16, num_attention_heads=2,
        hidden_size=8, num_codebooks=2, pad_token_id=16, bos_token_id=16,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=decoder)
        config._attn_implementation = "eager"
        model = MusicgenForConditionalGeneration(config)
        model.set_attn_implementation("eager")  # or no mask would hide the tokens that follow
        for layer in model.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()
        for weights in model.decoder.parameters():
            if weights.ndim > 1:
                weights.data.normal_(std=0.5)
    model.generation_config.decoder_start_token_id = model.generation_config.pad_token_id = 16
    model.generation_config.bos_token_id = 16
    return model.eval().requires_grad_(False), tokenizer
