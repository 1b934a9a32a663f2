"""How AIGVEval's language model reads a video: tokens of three encoders between texts that say what they are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan
from avreward.raters.aigveval._network import AigvEvalNetwork
from avreward.raters.aigveval._views import AigvEvalInput, AigvEvalViews
from avreward.raters.base import Track
from avreward.raters.encoders._version import VERSION as ENCODERS
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot, Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Verbatim from the published code; the paper words them a little differently and puts technical quality second.
ANCHORS = {
    "semantic": "The key frames of this video are:\n",
    "motion": ". The motion feature of the video is:\n",
    "technical": ". And the technical quality feature of the video is:\n",
}
TASK = ". Please assess the quality of this video."


class AigvEvalBackbone(Backbone):
    """BLIP on key frames, SlowFast's fast pathway on dense frames, Swin3D on fragments, and Vicuna.

    Each text between tokens is tokenized by itself and begins with the token that begins a sequence, as in the
    published code (where that is ``</s>``, number 2).

    Args:
        module, tokenizer, rounding: as for `Backbone`.
        views: how a video becomes what the encoders read.
    """

    tracks: ClassVar[tuple[Track, ...]] = ("video",)
    versions: ClassVar[Mapping[str, int]] = MappingProxyType({"encoders": ENCODERS})
    module: AigvEvalNetwork

    def __init__(
        self,
        module: AigvEvalNetwork,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        views: AigvEvalViews = AigvEvalViews(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        self.views = views

    @property
    def language(self) -> PreTrainedModel:
        """Llama without its head."""
        return self.module.language

    @property
    def head(self) -> nn.Module:
        """Hidden states to logits."""
        return self.module.lm_head

    @property
    def settings(self) -> Mapping[str, str]:
        """How frames are chosen and prepared, and which tokens are read."""
        config = self.module.config
        return {
            "views": repr(self.views),
            "conversion": "fast",
            "encoders": ", ".join(config.encoders),
            "combination": config.combination,
            "begins a text": str(self.beginning),
        }

    @property
    def beginning(self) -> int:
        """Number of the token that begins each text."""
        number = self.tokenizer.bos_token_id
        return 2 if number is None else int(number)

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of the frames of all views."""
        return [self.views.plan(clip, self.module.config.encoders)]

    def load(self, clip: Clip, track: Track) -> AigvEvalInput:
        """Return the normalised views of the video."""
        return self.views(clip, self.rounding, self.module.config.encoders)

    def encode(self, track: Track, loaded: AigvEvalInput) -> Encoded:
        """Return the tokens of each encoder, with the texts before all but the first."""
        config = self.module.config
        values = {name: self._tokens(name, getattr(loaded, name)) for name in config.encoders}
        if config.combination == "cross_attention":
            first, *others = values.values()
            return [Tokens(self.module.fusion(first, torch.cat(others)))]
        if config.combination == "concatenation":
            return [Tokens(torch.cat([*values.values()]))]
        pieces: list[Text | Tokens] = []
        for name, tokens in values.items():
            pieces += [*([self.text(ANCHORS[name])] if pieces else []), Tokens(tokens)]
        return pieces

    def chat(self, user: Prompt = (), answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return the published prompt around `user`'s slots; it has no turns."""
        config = self.module.config
        slots = [*user] or [Slot("video")]
        if config.combination != "anchors":
            return [*slots, self.text(TASK.removeprefix(". ")), *answer]
        first = ANCHORS[config.encoders[0]].removeprefix(". And the").removeprefix(". ")
        first = f"The{first}" if first.startswith(" technical") else first
        return [self.text(first), *slots, self.text(TASK), *answer]

    def text(self, text: str) -> Text:
        """Return a text as it is read: by itself, after the token that begins a sequence."""
        return Text((self.beginning, *self.tokenizer(text, add_special_tokens=False)["input_ids"]))

    def _tokens(self, name: str, view: Tensor) -> Tensor:
        encoder: nn.Module = getattr(self.module, {"semantic": "vision"}.get(name, name))
        like = next(encoder.parameters())
        encode = getattr(self.module, f"encode_{name}")
        tokens: Tensor = encode(view.to(like.device, like.dtype))
        return tokens
