"""The toy model with what newer decoders have: positions on three axes, and features added after the first layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor, nn
from toy_backbone import ToyBackbone

from avreward.raters.encoders._mrope import mrope
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Text, Tokens


class DeepNetwork(nn.Module):
    def __init__(self, vocabulary: int, width: int = 32) -> None:
        super().__init__()
        from transformers import Qwen3VLTextConfig
        from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel

        self.see = nn.Linear(3 * 16 * 16, 3 * width)
        self.hear = nn.Linear(400, width)
        self.language = Qwen3VLTextModel(
            Qwen3VLTextConfig(
                vocab_size=vocabulary, hidden_size=width, intermediate_size=48, num_hidden_layers=3,
                num_attention_heads=4, num_key_value_heads=2, head_dim=8, initializer_range=0.2,
                rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
            )
        )  # fmt: skip
        self.lm_head = nn.Linear(width, vocabulary, bias=False)


class DeepBackbone(ToyBackbone):
    """Each patch gives a token and two deep features; the picture's tokens stand on a grid."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        tokenizer = tiny_tokenizer(["<user>", "<answer>"])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            Backbone.__init__(self, DeepNetwork(len(tokenizer)), tokenizer, **options)
        self.calls = {"video": 0, "audio": 0}

    def encode(self, track: str, loaded: Tensor) -> Encoded:
        name, tokens = super().encode(track, loaded)
        if track == "audio":
            return [name, tokens]
        values, *deep = tokens.values.chunk(3, dim=-1)
        return [name, Tokens(values, grid=(len(loaded), 2, 2), seconds=0.5, deep=tuple(deep))]

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        return mrope(parts, per_second=4.0)
