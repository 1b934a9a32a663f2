"""A tiny AIGV-Assessor with random weights."""

from __future__ import annotations

from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.media.rounding import Rounding
from avreward.raters.aigv_assessor import AigvAssessorRater, AssessorConfig, AssessorNetwork
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.encoders.slowfast import SlowFastConfig

SPECIAL = ["<s>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]
TOKENIZER = tiny_tokenizer(SPECIAL)
MOTION = SlowFastConfig(depths=(1, 1), width=16)


def tiny_config(**options: Any) -> AssessorConfig:
    """Two small layers in the encoder (28 × 28 pixels, four tokens), two in the decoder, two stages of SlowFast."""
    vision = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": [28, 28],
        "patch_size": [7, 7],
        "attention_bias": True,
        "layer_norm_eps": 1e-6,
    }
    text = {
        "model_type": "llama",
        "vocab_size": -(-len(TOKENIZER) // 8) * 8,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
    }
    base = {"model_type": "internvl", "vision_config": vision, "text_config": text, "tie_word_embeddings": False}
    return AssessorConfig(base, MOTION, **options)


def tiny_network(**options: Any) -> AssessorNetwork:
    """The network with its own random weights, the same every time; layers count as much as their inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AssessorNetwork(tiny_config(**options)).eval().requires_grad_(False)
        for weight in network.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    return network


def tiny_assessor(rounding: Rounding = "straight_through", **options: Any) -> AigvAssessorRater:
    """The rater; `options` are those of `AssessorConfig`."""
    return AigvAssessorRater(AssessorBackbone(tiny_network(**options), TOKENIZER, rounding))
