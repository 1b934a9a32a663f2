"""Qwen2-VL: pictures and text (Wang et al., 2024, arXiv:2409.12191)."""

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
    """Qwen2-VL, and reward models made of it such as VideoReward.

    Every step of two frames takes one position in time, however long it lasts. A film has 24,576 tokens at most.

    The paper counts on after the largest position on any axis, and so did `transformers` up to release 4; release 5
    counts on after the last row and column, which for films of more steps than rows and columns is another text
    position. This class follows the paper, which the published weights were trained with.

    The system turn is that of the published ``chat_template.json``.

    Args:
        module, tokenizer, rounding, frames, min_pixels, max_pixels: as for `Qwen`.
        plain_positions: count on through everything, films included, alike on all axes; VideoReward does so.

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
        """Which frames are seen, how large, and on which positions."""
        return {**super().settings, "positions": "plain" if self.plain_positions else "on three axes"}

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Time, row and column of every token, int64 (3, length)."""
        if self.plain_positions:
            return torch.arange(sum(part.length for part in parts)).repeat(3, 1)
        return super().positions(parts)
