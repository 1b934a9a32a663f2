"""A tiny multimodal model with random weights, for the tests of what all LMM raters share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor, nn

from avreward import Clip
from avreward.media.sampling import AllFrames, FramePlan
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot, Text, Tokens
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import BinaryConfidence, FiveLevels, first_tokens
from avreward.raters.scores import Dimension


class ToyNetwork(nn.Module):
    def __init__(self, vocabulary: int, width: int = 32) -> None:
        super().__init__()
        from transformers import Qwen2Config, Qwen2Model

        self.see = nn.Linear(3 * 16 * 16, width)
        self.hear = nn.Linear(400, width)
        self.language = Qwen2Model(
            Qwen2Config(
                vocab_size=vocabulary, hidden_size=width, intermediate_size=48, num_hidden_layers=3,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.2,
            )
        )  # fmt: skip
        self.lm_head = nn.Linear(width, vocabulary, bias=False)


class ToyBackbone(Backbone):
    """One token for each 16×16 patch of an 8th of the frames' area, one for each 25 ms of sound."""

    tracks = ("video", "audio")
    calls: dict[str, int]

    def __init__(self, seed: int = 0, **options: Any) -> None:
        tokenizer = tiny_tokenizer(["<user>", "<answer>"])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(ToyNetwork(len(tokenizer)), tokenizer, **options)
        self.calls = {"video": 0, "audio": 0}

    @property
    def language(self) -> Any:
        return self.module.language

    @property
    def head(self) -> Any:
        return self.module.lm_head

    @property
    def settings(self) -> Mapping[str, str]:
        return {"frames": repr(AllFrames())}

    def load(self, clip: Clip, track: str) -> Tensor:
        if track == "audio":
            return clip.sound(16000, 1)[0]
        return clip.frames(FramePlan(AllFrames(), size=(32, 32)))

    def encode(self, track: str, loaded: Tensor) -> Encoded:
        self.calls[track] += 1
        weight = self.module.see.weight
        if track == "audio":
            pieces = loaded.unfold(0, 400, 400)
            return ["<sound>", Tokens(self.module.hear(pieces.to(weight)))]
        patches = loaded.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        return ["<picture>", Tokens(self.module.see(patches.to(weight)))]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        return ["<user>", *user, "<answer>", *answer, *(["\n"] if closed else [])]


class ThreeAxes(ToyBackbone):
    """The same, with another rule of positions, so that they matter."""

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        return 3 * super().positions(parts)


def toy_rater(seed: int = 0, backbone: ToyBackbone | None = None, **options: Any) -> LmmRater:
    """Three dimensions: `audio_quality` and `av_consistency` by levels, `match` (needs the prompt) by yes and no."""
    backbone = backbone or ToyBackbone(seed)
    stem = "The quality is"
    words = first_tokens(backbone.tokenizer, stem, [" " + w for w in ("excellent", "good", "fair", "poor", "bad")])
    levels = FiveLevels(backbone.head, words)
    binary = BinaryConfidence(backbone.head, first_tokens(backbone.tokenizer, "", ["Yes", "No"]))
    picture, sound = Slot("video"), Slot("audio")
    questions = [
        Question(("audio_quality",), tuple(backbone.chat([sound, "How good is the audio?"], [stem])), levels),
        Question(("av_consistency",), tuple(backbone.chat([picture, sound, "Do they fit?"], [stem])), levels),
        Question(("match",), tuple(backbone.chat([picture, sound, "Is it {prompt}?"])), binary),
    ]
    dimensions = [
        Dimension("audio_quality", 0, 100, frozenset({"audio"})),
        Dimension("av_consistency", 0, 100, frozenset({"video", "audio"})),
        Dimension("match", 0, 1, frozenset({"video", "audio", "prompt"})),
    ]
    return LmmRater("toy", backbone, questions, dimensions, **options)
