"""Qwen2-VL: video and text (Wang et al., 2024, arXiv:2409.12191)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from avreward.media.rounding import Rounding
from avreward.media.sampling import FrameRule
from avreward.raters.lmm.backbones._qwen import TWO_A_SECOND, Qwen
from avreward.raters.lmm.prompt import Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Qwen2Vl(Qwen):
    """Qwen2-VL, and reward models based on it such as VideoReward.

    Every step of two frames takes one position in time, regardless of its duration. A video has at most 24,576 tokens.

    In the paper, and in `transformers` up to release 4, text after a video starts after the largest position on any
    axis; in release 5 it starts after the last row and column, which is a different position if a video has more steps
    than rows and columns. This class follows the paper, as in the training of the published weights.

    The system turn is that of the published ``chat_template.json``.

    Args:
        module: the complete network; see `Backbone`.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
        frames: rule that chooses frames; see `Qwen`.
        min_pixels: of a frame; see `Qwen`.
        max_pixels: of a frame; see `Qwen`.
        plain_positions: use consecutive positions for all tokens, the same on all axes, as VideoReward does.

    Example:
        >>> from avreward.clip import Clip
        >>> from tiny.qwen_vl import tiny_qwen2_vl
        >>> backbone = tiny_qwen2_vl()
        >>> clip = Clip(video=torch.rand(8, 3, 50, 90), fps=8)
        >>> before, tokens, after = backbone.encode("video", backbone.load(clip, "video"))
        >>> before, tokens.grid, after
        ('<|vision_start|>', (2, 2, 3), '<|vision_end|>')
    """

    network: ClassVar[str] = "Qwen2VLForConditionalGeneration"
    tokens_at_most: ClassVar[int] = 24_576

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        frames: FrameRule = TWO_A_SECOND,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        plain_positions: bool = False,
    ) -> None:
        super().__init__(module, tokenizer, rounding, frames, min_pixels, max_pixels)
        self.plain_positions = plain_positions

    @property
    def settings(self) -> Mapping[str, str]:
        """Frames, their size, and their positions: label → value."""
        return {**super().settings, "positions": "plain" if self.plain_positions else "on three axes"}

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Return time, row and column of every token, int64 (3, length)."""
        if self.plain_positions:
            return torch.arange(sum(part.length for part in parts)).repeat(3, 1)
        return super().positions(parts)
