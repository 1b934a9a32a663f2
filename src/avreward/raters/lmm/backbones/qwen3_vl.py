"""Qwen3-VL: video and text (Bai et al., 2025, arXiv:2511.21631)."""

from __future__ import annotations

from typing import Any, ClassVar

from avreward.raters.base import Track
from avreward.raters.encoders._qwen_patches import STEP
from avreward.raters.lmm.backbones._qwen import Qwen
from avreward.raters.lmm.prompt import Encoded, Tokens

HALF = (0.5, 0.5, 0.5)


class Qwen3Vl(Qwen):
    """Qwen3-VL, the dense models; see `Qwen` for the arguments.

    Each step of a video is a separate item after its time stamp, such as ``<0.2 seconds>``: the middle between its two
    frames. Every step takes one position in time. Features of three intermediate layers of the vision tower are added
    in the first three layers of the decoder (`Tokens.deep`).

    Frames are resized as in qwen-vl-utils with ``image_patch_size=16``, which the model's README uses with
    ``do_resize=False``; the processor's own resizing limits all frames together, so that short videos would be larger.
    The text format is that of `transformers` 4.57, with which the weights were published: the time stamps replace all
    of ``<|vision_start|><|video_pad|><|vision_end|>``, whereas release 5 keeps an outer pair of delimiters around them.
    No system turn is added, as in the published ``chat_template.json``.

    Example:
        >>> import torch
        >>> from avreward.clip import Clip
        >>> from tiny.qwen_vl import tiny_qwen3_vl
        >>> backbone = tiny_qwen3_vl()
        >>> clip = Clip(video=torch.rand(8, 3, 50, 90), fps=8)
        >>> encoded = backbone.encode("video", backbone.load(clip, "video"))
        >>> [part if isinstance(part, str) else part.grid for part in encoded[:4]]
        ['<0.1 seconds><|vision_start|>', (1, 2, 3), '<|vision_end|>', '<0.8 seconds><|vision_start|>']
    """

    network: ClassVar[str] = "Qwen3VLForConditionalGeneration"
    system: ClassVar[str | None] = None
    mean: ClassVar[tuple[float, float, float]] = HALF
    std: ClassVar[tuple[float, float, float]] = HALF

    def encode(self, track: Track, loaded: Any) -> Encoded:
        """Return each step's time stamp and its tokens between delimiters."""
        seen, (steps, rows, columns) = self._see(loaded), self._grid(loaded)
        parts: list[str | Tokens] = []
        for step in range(steps):
            here = slice(step * rows * columns, (step + 1) * rows * columns)
            shown = loaded.times[STEP * step : STEP * (step + 1)]
            time = (shown[0] + shown[-1]) / 2  # for a single frame that counts twice, its own time
            tokens = Tokens(seen.values[here], (1, rows, columns), deep=tuple(deep[here] for deep in seen.deep))
            parts += [f"<{time:.1f} seconds>{self.around[0]}", tokens, self.around[1]]
        return parts
