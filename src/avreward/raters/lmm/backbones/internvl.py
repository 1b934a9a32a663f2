"""InternVL 2.5 and 3: video and text (Chen et al., 2024, arXiv:2412.05271; Zhu et al., 2025, arXiv:2504.10479)."""

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
    r"""InternVL as implemented in `transformers` (checkpoints named ``…-hf``); a video is a sequence of frames.

    Each frame is resized to the encoder's square (448 pixels in the published models) by Pillow's bicubic filter,
    without keeping the aspect ratio, and becomes 256 tokens. The number of frames does not depend on the clip's
    length; shorter clips repeat frames.

    Args:
        module: the complete network; see `Backbone`.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
        frames: rule that chooses frames; by default eight, evenly spread, as published.

    Example:
        >>> import torch
        >>> from tiny.internvl import tiny_internvl
        >>> backbone = tiny_internvl(frames=AigvAssessorFrames(2))
        >>> clip = Clip(video=torch.rand(5, 3, 48, 64), fps=8)
        >>> encoded = backbone.encode("video", backbone.load(clip, "video"))
        >>> [part if isinstance(part, str) else part.length for part in encoded]
        ['Frame1: <img>', 4, '</img>\nFrame2: <img>', 4, '</img>']
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
        """The layer from hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def settings(self) -> Mapping[str, str]:
        """Frames, their size and their normalisation: label → value."""
        size = f"{self._size[1]}x{self._size[0]} squashed, bicubic"
        return {"frames": f"{self.frames!r}, fast conversion", "size": size, "normalization": f"mean {MEAN}, std {STD}"}

    def load(self, clip: Clip, track: Track) -> Tensor:
        """Return the chosen frames as the encoder takes them, float (frames, 3, height, width)."""
        frames = widened(clip.frames(FramePlan(self.frames, conversion="fast")))
        small = resize(frames, self._size, "bicubic", self.rounding)
        return (small - small.new_tensor(MEAN)[:, None, None]) / small.new_tensor(STD)[:, None, None]

    def encode(self, track: Track, loaded: Tensor) -> Encoded:
        """Return each frame's tokens and delimiters, as in ``InternVLProcessor.replace_video_token``."""
        tower = self._network.vision_tower
        features = self._network.get_image_features(loaded.to(tower.device, tower.dtype)).pooler_output
        encoded: list[str | Tokens] = []
        for number, values in enumerate(features, start=1):
            encoded += [f"</img>\nFrame{number}: <img>" if encoded else f"Frame{number}: <img>", Tokens(values)]
        return [*encoded, "</img>"]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return ChatML without a system turn, with a line break after each video, as in the published template.

        Source: ``chat_template.jinja`` of OpenGVLab/InternVL3-78B-hf, which ``convert_internvl_weights_to_hf.py`` of
        `transformers` writes for all sizes.
        """
        turn: list[Any] = []
        for piece in user:
            turn += [piece, "\n"] if isinstance(piece, Slot) else [piece]
        # The tokenizer of the InternLM sizes adds a beginning token to every text.
        first = self.tokenizer.decode(self.tokenizer("")["input_ids"])
        opening, *rest = chatml(None, turn, answer, closed)
        return [f"{first}{opening}", *rest]
