"""The published checkpoints of AIGVEval: their names for what `AigvEvalNetwork` holds, LoRA, and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.aigveval._network import AigvEvalConfig
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.checkpoints._lora import merge_lora
from avreward.raters.checkpoints._sizes import count_numbered
from avreward.raters.encoders.slowfast import slowfast_config
from avreward.raters.encoders.swin3d import swin_config

Shapes = Mapping[str, tuple[int, ...]]

# In the order in which they are tried: name there → name in `AigvEvalNetwork`.
_PREFIXES = {
    "blip.cls_token": "vision.embeddings.class_embedding",
    "blip.pos_embed": "vision.embeddings.position_embedding",
    "blip.patch_embed.proj.": "vision.embeddings.patch_embedding.",
    "blip.blocks.": "vision.encoder.layers.",
    "blip.norm.": "vision.post_layernorm.",
    "finetune_blip_proj.": "vision_projector.",
    "slowfast.feature_extraction.": "motion.blocks.",
    "slowfast.position_embedding.": "motion_positions.",
    "slowfast_proj.": "motion_projector.",
    "swin3d.": "technical.",
    "finetune_proj.": "technical_projector.",
    "llm_model.lm_head.": "lm_head.",
    "llm_model.model.": "language.",
}
_BLOCK = {
    ".norm1.": ".layer_norm1.",
    ".norm2.": ".layer_norm2.",
    ".attn.qkv.": ".self_attn.qkv.",
    ".attn.proj.": ".self_attn.projection.",
}
_WRAPPED = "llm_model.base_model.model."  # what peft puts before a model's names
_HEAD = 128  # channels of an attention head of Llama-7B
_VISION_HEAD = 64  # of BLIP's


def merged(state: Mapping[str, Tensor], alpha: float = 16.0, source: object = "checkpoint") -> dict[str, Tensor]:
    """Return the entries of a published checkpoint with its LoRA merged: W + alpha/r · B·A, without `peft`'s names.

    Args:
        state: name → tensor; names may be wrapped by `peft` or not.
        alpha: of the LoRA, which no entry shows; 16 in the published code.
        source: named by errors.

    Raises:
        AvrewardError: for half of an adapter.
    """

    def rename(name: str) -> str:
        bare = f"llm_model.{name.removeprefix(_WRAPPED)}" if name.startswith(_WRAPPED) else name
        return bare.replace(".base_layer.", ".")

    return merge_lora(state, rename, lambda _, rank: alpha / rank, source=source)


def official_to_ours(name: str) -> str:
    """Return the name in `AigvEvalNetwork` of the entry `name` of a published checkpoint, after `merged`.

    Raises:
        AvrewardError: if AIGVEval has no such entry.

    >>> official_to_ours("blip.blocks.3.attn.proj.weight")
    'vision.encoder.layers.3.self_attn.projection.weight'
    """
    for old, new in _PREFIXES.items():
        if name.startswith(old):
            rest = name.removeprefix(old)
            if old == "blip.blocks.":
                for there, ours in _BLOCK.items():
                    rest = rest.replace(there, ours)
            return new + rest
    raise AvrewardError(f"checkpoint: AIGVEval has no entry {name}; give one of its checkpoints")


def ours_to_official(name: str) -> str:
    """Return the published name of the entry `name` of `AigvEvalNetwork`.

    Raises:
        AvrewardError: if it has none.

    >>> ours_to_official("vision.encoder.layers.3.self_attn.projection.weight")
    'blip.blocks.3.attn.proj.weight'
    """
    for old, new in _PREFIXES.items():
        if name.startswith(new):
            rest = name.removeprefix(new)
            if old == "blip.blocks.":
                for there, ours in _BLOCK.items():
                    rest = rest.replace(ours, there)
            return old + rest
    raise AvrewardError(f"checkpoint: AIGVEval has no entry {name}; give one of its checkpoints")


def config_from_official(shapes: Shapes, config: Mapping[str, Any], source: object) -> AigvEvalConfig:
    """Return the sizes of a published checkpoint.

    Args:
        shapes: name → shape of its entries, after `merged`.
        config: of its language model, as Vicuna's ``config.json``: what no shape shows comes from it where it is
            there, else from Vicuna-7B. ``vision_config`` in it may hold `num_attention_heads` of BLIP.
        source: named by errors.

    Raises:
        AvrewardError: for a checkpoint of another system, or one that is not complete.
    """
    try:
        return AigvEvalConfig(
            vision=_vision(shapes, config.get("vision_config") or {}),
            language=_language(shapes, config),
            motion=slowfast_config(shapes, "slowfast.feature_extraction."),
            technical=swin_config(shapes, "swin3d."),
            positions=shapes["slowfast.position_embedding.weight"][0],
        )
    except ArgumentError:
        raise
    except (KeyError, ValueError, IndexError) as error:
        looks = looks_like(shapes)
        missing = f", without {error}" if looks == "a checkpoint of AIGVEval" else ""
        raise AvrewardError(
            f"{source}: expected a checkpoint of AIGVEval (blip.*, slowfast.*, swin3d.*, llm_model.*), got {looks}"
            f"{missing}; give another file"
        ) from error


def _vision(shapes: Shapes, told: Mapping[str, Any]) -> dict[str, Any]:
    width, _, patch, _ = shapes["blip.patch_embed.proj.weight"]
    places = shapes["blip.pos_embed"][1] - 1
    return {
        "hidden_size": width,
        "intermediate_size": shapes["blip.blocks.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count_numbered(shapes, r"blip\.blocks\.(\d+)\."),
        "num_attention_heads": told.get("num_attention_heads", max(1, width // _VISION_HEAD)),
        "image_size": isqrt(places) * patch,
        "patch_size": patch,
        "layer_norm_eps": 1e-6,
        "hidden_act": "gelu",
    }


def _language(shapes: Shapes, told: Mapping[str, Any]) -> dict[str, Any]:
    vocabulary, width = shapes["llm_model.model.embed_tokens.weight"]
    heads = told.get("num_attention_heads", max(1, width // _HEAD))
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes["llm_model.model.layers.0.mlp.up_proj.weight"][0],
        "num_hidden_layers": count_numbered(shapes, r"llm_model\.model\.layers\.(\d+)\."),
        "num_attention_heads": heads,
        "num_key_value_heads": told.get("num_key_value_heads", heads),
        "rms_norm_eps": told.get("rms_norm_eps", 1e-5),
        "max_position_embeddings": told.get("max_position_embeddings", 4096),
    }
    if width % heads:
        raise ArgumentError("num_attention_heads", f"a divisor of the width {width}", heads, "correct config.json")
    return sizes | {name: told[name] for name in ("rope_theta", "rope_parameters", "rope_scaling") if told.get(name)}
