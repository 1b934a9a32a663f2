"""Writes a tiny AGAV-Rater with random weights in the layout of the published checkpoint: its scores mean nothing.

    python recipes/tiny_agav_rater.py OUT [--seed 0]
    avreward rank --rater OUT --video silent.mp4 dub1.wav dub2.wav

It stands in for the checkpoint where there is none: to try commands, to test a training loop, to measure.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer

from avreward.raters.agav._keys import ours_to_official
from avreward.raters.agav._network import AgavConfig, AgavNetwork
from avreward.raters.encoders.beats import BeatsConfig

SPECIAL = ("<|im_start|>", "<|im_end|>", "<video>")


def tiny_config(vocabulary: int, scores: int = 3, frames: int = 8) -> AgavConfig:
    """Return the published architecture with a few dozen channels."""
    return AgavConfig(
        vision={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
            "image_size": 84, "patch_size": 14,
        },
        audio=BeatsConfig(
            embed=16, layers=2, width=32, ffn=48, heads=4, conv_pos=16, conv_pos_groups=4, buckets=32,
            max_distance=64, classes=7,
        ),
        language={
            "vocab_size": vocabulary, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
        },
        num_frames=frames,
        scores=scores,
    )  # fmt: skip


def random_network(config: AgavConfig, seed: int = 0) -> AgavNetwork:
    """Weights of a size at which every part of the network matters to the scores."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AgavNetwork(config)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return network.eval().requires_grad_(False)


def write_official(network: AgavNetwork, tokenizer: Any, out: Path) -> None:
    """Write the folder as it was published: their names for the weights, their fields in config.json."""
    from safetensors.torch import save_file

    config = network.config
    official: dict[str, Any] = {
        "architectures": ["Videollama2Qwen2ForCausalLM"],
        "model_type": "videollama2_qwen2",
        **config.language,
        "mm_projector_type": config.connector,
        "mm_projector_a_type": config.audio_projector,
        "mm_hidden_size": config.vision["hidden_size"],
        "mm_vision_select_layer": config.vision_layer,
        "num_frames": config.num_frames,
        # Sizes that no tensor's shape tells; for the published encoders they are known.
        "vision_config": {"num_attention_heads": config.vision["num_attention_heads"]},
        "audio_config": {"max_distance": config.audio.max_distance},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(official, indent=2) + "\n")
    state = {ours_to_official(name): tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(out)


def write_tiny(out: Path, seed: int = 0, scores: int = 3, frames: int = 8) -> Path:
    """Write a tiny rater to the folder `out`, which is made, and return it.

    >>> from avreward import load_rater
    >>> [dimension.name for dimension in load_rater(write_tiny(Path("tiny"))).dimensions]
    ['audio_quality', 'av_consistency', 'overall']
    """
    tokenizer = tiny_tokenizer(SPECIAL)
    write_official(random_network(tiny_config(len(tokenizer), scores, frames), seed), tokenizer, out)
    return out


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    arguments = parser.parse_args()
    print(
        f"{write_tiny(arguments.out, arguments.seed)}: a tiny AGAV-Rater with random weights; its scores mean nothing"
    )


if __name__ == "__main__":
    main()
