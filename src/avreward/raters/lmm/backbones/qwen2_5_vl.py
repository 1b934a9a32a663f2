"""Qwen2.5-VL: video and text (Bai et al., 2025, arXiv:2502.13923)."""

from __future__ import annotations

from typing import ClassVar

from avreward.raters.lmm.backbones._qwen import Qwen, QwenVideo


class Qwen2_5Vl(Qwen):
    """Qwen2.5-VL, whose positions in time count seconds; see `Qwen` for the arguments.

    A step lasts as long as two of the chosen frames on average, as with the ``fps`` that qwen-vl-utils passes to the
    published processor (`return_video_kwargs`). A video has at most 115,200 tokens. For the position of text after a
    video see `Qwen2Vl`; the system turn is that of the published ``chat_template.json``.

    Example:
        >>> import torch
        >>> from avreward.clip import Clip
        >>> from tiny.qwen_vl import tiny_qwen2_5_vl
        >>> backbone = tiny_qwen2_5_vl()
        >>> clip = Clip(video=torch.rand(9, 3, 50, 90), fps=8)
        >>> before, tokens, after = backbone.encode("video", backbone.load(clip, "video"))
        >>> before, tokens.grid, tokens.seconds, after
        ('<|vision_start|>', (2, 2, 3), 0.5625, '<|vision_end|>')
    """

    network: ClassVar[str] = "Qwen2_5_VLForConditionalGeneration"

    @property
    def per_second(self) -> float:
        """Positions per second on the time axis."""
        return self._config.vision_config.tokens_per_second

    def _seconds(self, video: QwenVideo) -> float:
        return video.seconds
