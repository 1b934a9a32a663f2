"""Tiny embedding models with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer
from tokenizers.processors import TemplateProcessing

from avreward.raters.embedding.clap import ClapRater
from avreward.raters.embedding.image_text import ImageTextRater

TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def tiny_clip(**options: Any) -> ImageTextRater:
    """CLIP of 24 × 24 pixels."""
    from transformers import CLIPConfig

    vision = {**TEXT, "image_size": 24, "patch_size": 8}
    return _image_text("CLIPModel", CLIPConfig, vision, **options)


def tiny_siglip(**options: Any) -> ImageTextRater:
    """SigLIP of 24 × 24 pixels."""
    from transformers import SiglipConfig

    vision = {**TEXT, "image_size": 24, "patch_size": 8}
    return _image_text("SiglipModel", SiglipConfig, vision, **options)


def tiny_naflex(**options: Any) -> ImageTextRater:
    """SigLIP 2 NaFlex with at most 12 patches of 8 × 8 pixels."""
    from transformers import Siglip2Config

    vision = {**TEXT, "num_patches": 16, "patch_size": 8}
    return _image_text("Siglip2Model", Siglip2Config, vision, files={"max_num_patches": 12}, **options)


def tiny_clap(fusion: bool = False, **options: Any) -> ClapRater:
    """CLAP, which hears ten seconds as the real one does."""
    from transformers import ClapConfig

    tokenizer = tokenizer_with_end()
    fused = {"enable_fusion": True, "fusion_type": "aff_2d", "aff_block_r": 2} if fusion else {}
    sizes = ClapConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 34,
            "pad_token_id": 1,
            "projection_dim": 16,
        },
        audio_config={
            "patch_embeds_hidden_size": 4,
            "depths": [2, 2],
            "num_attention_heads": [1, 2],
            "hidden_size": 8,
            "num_hidden_layers": 2,
            "mlp_ratio": 2.0,
            "projection_dim": 16,
            **fused,
        },
        projection_dim=16,
    )
    module = _random("ClapModel", sizes)
    return ClapRater(module, tokenizer, **{**ClapRater.prepared({}, sizes), **options})


def _image_text(network: str, config: Any, vision: dict[str, Any], files: Any = None, **options: Any) -> ImageTextRater:
    tokenizer = tokenizer_with_end()
    sizes = config(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32,
            "projection_size": 16,
            "bos_token_id": tokenizer.eos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config=vision,
    )
    module = _random(network, sizes)
    if hasattr(module, "logit_bias"):
        module.logit_scale.data.fill_(0.7)
        module.logit_bias.data.fill_(-0.5)
    return ImageTextRater(module, tokenizer, **{**ImageTextRater.prepared(files or {}, sizes), **options})


def tokenizer_with_end() -> Any:
    """Every text ends with a token, at which CLIP reads it."""
    tokenizer = tiny_tokenizer()
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    return tokenizer


def _random(network: str, config: Any) -> Any:
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return getattr(transformers, network)(config)
