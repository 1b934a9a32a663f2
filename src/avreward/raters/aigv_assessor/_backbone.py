"""What AIGV-Assessor's language model reads of a clip: eight frames and one motion token (arXiv:2411.17221)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from torch import Tensor, nn

from avreward.media.rounding import Rounding
from avreward.media.sampling_rules import AigvAssessorFrames
from avreward.raters.aigv_assessor._network import AssessorNetwork, Part, Template
from avreward.raters.base import Track
from avreward.raters.encoders._version import VERSION as ENCODERS
from avreward.raters.lmm.backbones.internvl import InternVl
from avreward.raters.lmm.prompt import Encoded, Prompt, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# System turn and what follows the end of a turn, verbatim from conversation.py in github.com/OpenGVLab/InternVL.
_TEMPLATES: Mapping[Template, tuple[str, str]] = {
    "internlm2-chat": (
        "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。",
        "",
    ),
    "internvl2_5": (
        "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。",
        "\n",
    ),
    "chatml": ("", "\n"),
}


class AssessorBackbone(InternVl):
    """InternVL that sees eight frames of a clip and, after them, one token of its motion.

    Frames are chosen and prepared as `InternVl` does it. SlowFast sees the same normalised frames: its fast pathway
    all of them, its slow pathway every fourth in position (the first and the last of eight).

    Args:
        module: the network.
        tokenizer, rounding: as for `Backbone`.
    """

    network: ClassVar[str] = ""
    versions: ClassVar[Mapping[str, int]] = MappingProxyType({"encoders": ENCODERS})
    module: AssessorNetwork

    def __init__(
        self,
        module: AssessorNetwork,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
    ) -> None:
        super().__init__(module, tokenizer, rounding, AigvAssessorFrames(module.config.frames))

    @property
    def _network(self) -> Any:
        return self.module.base.model

    @property
    def head(self) -> nn.Module:
        """The map from hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.base.lm_head

    @property
    def settings(self) -> Mapping[str, str]:
        """Which frames, at what size, how they are scaled, and the text format."""
        whole = {**super().settings, "motion": "SlowFast on the same frames", "template": self.module.config.template}
        encoders = self.module.config.encoders
        return whole if len(encoders) == len(get_args(Part)) else {**whole, "encoders": ", ".join(encoders)}

    def encode(self, track: Track, loaded: Tensor) -> Encoded:
        """Return the tokens of each frame and of the motion between their delimiters, as the original writes them."""
        encoders = self.module.config.encoders
        frames = [*super().encode(track, loaded)] if "spatial" in encoders else []
        if "temporal" not in encoders:
            return frames
        weight = next(self.module.motion.parameters())
        motion = self.module.encode_motion(loaded.to(weight.device, weight.dtype))
        end = f"{frames.pop()}\n" if frames else ""
        return [*frames, f"{end}Motion Feature: <img>", Tokens(motion), "</img>"]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return the conversation in the network's template; nothing stands between the video and the question."""
        system, after = _TEMPLATES[self.module.config.template]
        # The tokenizer of InternLM2 puts its first token before every text.
        first = self.tokenizer.decode(self.tokenizer("")["input_ids"])
        end = f"<|im_end|>{after}"
        opening = f"<|im_start|>system\n{system}{end}" if system else ""
        turns = [f"{first}{opening}<|im_start|>user\n", *user, f"{end}<|im_start|>assistant\n", *answer]
        return [*turns, end] if closed else turns
