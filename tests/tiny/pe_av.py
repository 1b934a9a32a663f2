"""A tiny PE-AV with random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avreward.raters.embedding.pe_av import PeAvRater
from tiny.embedding import tokenizer_with_end

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "head_dim": 8,
}


def tiny_pe_av(**options: Any) -> PeAvRater:
    """PE-AV with the real codec's step, frames of 28 × 28 pixels and a plain vision transformer.

    Raises ImportError where `transformers` (before 5.20 or so) wants the package `timm` for any picture encoder.
    """
    from transformers import (
        DacConfig,
        ModernBertConfig,
        PeAudioEncoderConfig,
        PeAudioVideoConfig,
        PeAudioVideoEncoderConfig,
        PeAudioVideoModel,
        PeVideoEncoderConfig,
        ViTConfig,
    )

    tokenizer = tokenizer_with_end()
    vision = ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        num_labels=12,
    )
    codec = DacConfig(downsampling_ratios=[2, 8, 10, 12], encoder_hidden_size=4, codebook_dim=8)
    end = tokenizer.eos_token_id
    text = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), end),
    )
    both = PeAudioVideoEncoderConfig(
        audio_config=PeAudioEncoderConfig(dac_config=codec, **SMALL),
        video_config=PeVideoEncoderConfig(vision_config=vision, **SMALL),
        **SMALL,
    )
    config = PeAudioVideoConfig(text_config=text, audio_video_config=both)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = PeAudioVideoModel(config)
        for name, weight in module.named_parameters():
            if name.endswith(("_scale", "_bias")):
                nn.init.uniform_(weight, 0.2, 0.9)
    files = {"size": {"height": 28, "width": 28}}
    return PeAvRater(module, tokenizer, **{**PeAvRater.prepared(files, config), **options})
