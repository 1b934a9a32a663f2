"""InternVL 2.5 and 3: pictures and text (Chen et al., 2024, arXiv:2412.05271; Zhu et al., 2025, arXiv:2504.10479)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media._precision import widened
from avreward.media._resize import resize
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan, FrameRule
from avreward.media.sampling_rules import AigvAssessorFrames
from avreward.raters.base import Track
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.backbones._qwen import chatml
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for red, green, blue
EIGHT_FRAMES = AigvAssessorFrames(8)


class InternVl(Backbone):
    """InternVL in the form that `transformers` holds (checkpoints named ``…-hf``), which sees a video as frames.

    Each frame is squashed to the square that the encoder takes (448 pixels in the published ones) by Pillow's bicubic
    filter and becomes 256 tokens. However long the clip, it is `frames` that are looked at; a clip of fewer frames
    repeats some.

    Args:
        module, tokenizer, rounding: as for `Backbone`.
        frames: which ones; the published eight, spread evenly.

    Example:
        >>> import torch
        >>> from tiny.internvl import tiny_internvl
        >>> backbone = tiny_internvl(frames=AigvAssessorFrames(2))
        >>> clip = Clip(video=torch.rand(5, 3, 48, 64), fps=8)
        >>> encoded = backbone.encode("video", backbone.load(clip, "video"))
        >>> [part if isinstance(part, str) else part.length for part in encoded]
        ['Frame1: <img>', 4, '</img>\\nFrame2: <img>', 4, '</img>']
    """

    tracks: ClassVar[tuple[Track, ...]] = ("video",)
    network: ClassVar[str] = "InternVLForConditionalGeneration"

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        frames: FrameRule = EIGHT_FRAMES,
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        self.frames = frames

    @property
    def _network(self) -> Any:
        return self.module.model

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self._network.vision_tower.config.image_size
        return height, width

    @property
    def language(self) -> PreTrainedModel:
        """The decoder: Qwen2.5, or InternLM as a Llama."""
        return self._network.language_model

    @property
    def head(self) -> nn.Module:
        """From hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def settings(self) -> Mapping[str, str]:
        """Which frames, at what size, and how they are scaled."""
        size = f"{self._size[1]}x{self._size[0]} squashed, bicubic"
        return {"frames": repr(self.frames), "size": size, "normalization": f"mean {MEAN}, std {STD}"}

    def load(self, clip: Clip, track: Track) -> Tensor:
        """The frames as the encoder takes them, float (frames, 3, height, width)."""
        frames = widened(clip.frames(FramePlan(self.frames)))
        small = resize(frames, self._size, "bicubic", self.rounding)
        return (small - small.new_tensor(MEAN)[:, None, None]) / small.new_tensor(STD)[:, None, None]

    def encode(self, track: Track, loaded: Tensor) -> Encoded:
        """The tokens of each frame between its delimiters, as ``InternVLProcessor.replace_video_token`` writes them."""
        tower = self._network.vision_tower
        features = self._network.get_image_features(loaded.to(tower.device, tower.dtype)).pooler_output
        encoded: list[str | Tokens] = []
        for number, values in enumerate(features, start=1):
            encoded += [f"</img>\nFrame{number}: <img>" if encoded else f"Frame{number}: <img>", Tokens(values)]
        return [*encoded, "</img>"]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """ChatML without a system turn, a line break after each video, as in the published template.

        Source: ``chat_template.jinja`` of OpenGVLab/InternVL3-78B-hf, which `transformers` wrote in its
        ``convert_internvl_weights_to_hf.py`` for all sizes.
        """
        told: list[Any] = []
        for piece in user:
            told += [piece, "\n"] if isinstance(piece, Slot) else [piece]
        # The tokenizer of the sizes with InternLM puts one before every text.
        first = self.tokenizer.decode(self.tokenizer("")["input_ids"])
        opening, *rest = chatml(None, told, answer, closed)
        return [f"{first}{opening}", *rest]
