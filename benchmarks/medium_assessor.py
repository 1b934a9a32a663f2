"""An AIGV-Assessor of 130 million random weights with the published token counts, for benchmarks on a CPU."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward import Clip
from avreward.raters import AigvAssessorRater, Sample
from avreward.raters.aigv_assessor import AssessorConfig, AssessorNetwork
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.encoders import SlowFastConfig

SPECIAL = ["<s>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]
FRAMES, SIDE = 8, 448
NAMES = ("static_quality", "temporal_smoothness", "dynamic_degree", "tv_correspondence")


def medium_assessor(checkpointing: bool = False) -> AigvAssessorRater:
    """Return the published architecture: 8 frames of 448 pixels, 256 tokens each, SlowFast-R50, a motion token."""
    tokenizer = tiny_tokenizer(SPECIAL)
    vision = {
        "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 5, "num_attention_heads": 4,
        "image_size": [SIDE, SIDE], "patch_size": [14, 14], "attention_bias": True,
    }  # fmt: skip
    text = {
        "model_type": "llama", "vocab_size": 32768, "hidden_size": 768, "intermediate_size": 2688,
        "num_hidden_layers": 8, "num_attention_heads": 12, "num_key_value_heads": 4, "max_position_embeddings": 8192,
    }  # fmt: skip
    config = AssessorConfig({"model_type": "internvl", "vision_config": vision, "text_config": text}, SlowFastConfig())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AssessorNetwork(config)
    return AigvAssessorRater(AssessorBackbone(network, tokenizer), checkpointing=checkpointing)


def samples(prompts: int, dubs: int = 1) -> list[Sample]:
    """One video, prepared up to the network's input, with so many prompts and so many dubs of each."""
    generator = torch.Generator().manual_seed(0)
    video = Clip(video=torch.rand(1, 3, 2, 2, generator=generator), fps=1.0)
    pixels = torch.randn(FRAMES, 3, SIDE, SIDE, generator=generator)
    found = []
    for number in range(prompts):
        for _ in range(dubs):
            clip = video.with_audio(torch.rand(8, generator=generator), 8)  # stands for its key alone
            found.append(Sample(clip.with_prompt(f"a dog runs after {number + 1} balls"), {"video": pixels}, {}))
    return found
