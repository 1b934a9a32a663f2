"""VideoLLaMA 3: video and text (Zhang et al., 2025, arXiv:2501.13106)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.media._precision import widened
from avreward.media._resize import resize
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan, FrameRule, check_positive, duration, slack
from avreward.raters.base import Track
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.backbones._qwen import chatml
from avreward.raters.lmm.prompt import Encoded, Prompt, Slot, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MERGE = 2  # patches along each side of a token
LEAST, MOST = 16, 16384  # tokens: at least in a frame, at most in a video before still ones are dropped
THRESHOLD = 0.1  # a token is dropped if its pixels differ less from those of the frame before
LONGEST = 200  # at most this ratio of the longer side to the shorter


@dataclass(frozen=True)
class VideoLlama3Frames:
    """`rate` frames per second, at least `least` and at most `most`, as in ``VideoLlama3VideoProcessor``.

    Of n frames, frame ⌊i·n/count⌋ for each i < count; a clip with fewer frames gives all of them.

    Args:
        rate: frames per second.
        least: frames, at least.
        most: frames, at most.

    Example:
        >>> VideoLlama3Frames()(torch.arange(84, dtype=torch.float64) / 24)
        tensor([ 0, 21, 42, 63])
    """

    rate: float = 1.0
    least: int = 4
    most: int = 180

    def __post_init__(self) -> None:
        check_positive(rate=self.rate, least=self.least, most=self.most)

    def __call__(self, times: Tensor) -> Tensor:
        """Return the indices of the chosen frames, ascending.

        Raises:
            MediaError: if there are no frames.
        """
        wanted = max((duration(times) + slack(times)) * self.rate, self.least)
        total, count = len(times), floor(min(wanted, self.most, len(times)))
        # in float32, as in the original: a product that should be an integer may be slightly less
        chosen = torch.arange(0, total, total / count, dtype=torch.float32, device=times.device).long()
        return chosen[:count]


@dataclass(frozen=True, eq=False)
class VideoLlama3Video:
    """The encoder's input.

    Attributes:
        patches: float (n, 3·patch²); the patches of a token are consecutive.
        grid: (frames, rows, columns) of patches.
        times: of the frames, in seconds after the first frame.
        kept: bool (frames, tokens of a frame): which tokens the language model reads.
    """

    patches: Tensor
    grid: tuple[int, int, int]
    times: tuple[float, ...]
    kept: Tensor


class VideoLlama3(Backbone):
    """VideoLLaMA 3 as implemented in `transformers`: frames with time stamps, at nearly their native size.

    The sides of a frame become multiples of 28 pixels, and the aspect ratio is nearly kept. A frame gets at least
    `min_pixels`. All frames of a video share `max_pixels`, so the frames of long videos are smaller.

    Tokens whose pixels hardly differ from those of the frame before (the mean difference of the normalised values,
    times 255, is at most 0.1) are dropped, as published; a frame keeps at least its first token. This choice has no
    gradient: gradients flow through the tokens that are kept, and the score jumps when a token appears. With
    `compress` = False all tokens are kept.

    Args:
        module: the complete network; see `Backbone`.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
        frames: rule that chooses frames (*optional*: one per second, at most 180).
        min_pixels: of a frame (*optional*: those of 16 tokens, 12,544 pixels).
        max_pixels: of all frames together (*optional*: those of 16,384 tokens, 12,845,056 pixels).
        compress: whether to drop still tokens.

    Raises:
        ArgumentError: unless 0 < `min_pixels` ≤ `max_pixels`.

    Example:
        >>> from tiny.video_llama3 import tiny_video_llama3
        >>> backbone = tiny_video_llama3()
        >>> clip = Clip(video=torch.rand(8, 3, 16, 24), fps=8)
        >>> encoded = backbone.encode("video", backbone.load(clip, "video"))
        >>> [part if isinstance(part, str) else part.length for part in encoded]
        ['Time 0.0s:', 6, ',Time 0.2s:', 6, ',Time 0.5s:', 6, ',Time 0.8s:', 6]
    """

    tracks: ClassVar[tuple[Track, ...]] = ("video",)
    network: ClassVar[str] = "VideoLlama3ForConditionalGeneration"

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        frames: FrameRule | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        compress: bool = True,
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        self.frames, self.compress = frames or VideoLlama3Frames(), compress
        self.min_pixels = LEAST * self._factor**2 if min_pixels is None else min_pixels
        self.max_pixels = MOST * self._factor**2 if max_pixels is None else max_pixels
        if not 0 < self.min_pixels <= self.max_pixels:
            got = Described(f"min_pixels={self.min_pixels} and max_pixels={self.max_pixels}")
            raise ArgumentError("min_pixels", "0 < min_pixels ≤ max_pixels", got)

    @property
    def _network(self) -> Any:
        return self.module.model

    @property
    def _patch(self) -> int:
        return self._network.vision_model.config.patch_size

    @property
    def _factor(self) -> int:
        return self._patch * MERGE

    @property
    def language(self) -> PreTrainedModel:
        """The Qwen decoder."""
        return self._network.language_model

    @property
    def head(self) -> nn.Module:
        """The layer from hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def settings(self) -> Mapping[str, str]:
        """Frames, their size and normalisation, and the tokens that are kept: label → value."""
        return {
            "frames": f"{self.frames!r}, fast conversion",
            "size": f"sides in steps of {self._factor}, bicubic, at least {self.min_pixels} pixels a frame, "
            f"at most {self.max_pixels} in all",
            "normalization": "mean 0.5, std 0.5",
            "kept tokens": f"those that differ by more than {THRESHOLD}" if self.compress else "all",
        }

    def size(self, height: int, width: int, frames: int) -> tuple[int, int]:
        """Return the (height, width) that `frames` frames of `height` × `width` pixels are resized to.

        Raises:
            MediaError: if one side is more than 200 times the other, as in the original.
        """
        if max(height, width) > LONGEST * min(height, width):
            problem = f"expected an aspect ratio of {LONGEST} at most, got {width} × {height} pixels"
            raise MediaError("video", problem, "crop it")
        factor, area, most = self._factor, height * width, self.max_pixels // frames
        rounded = [round(side / factor) * factor for side in (height, width)]
        if rounded[0] * rounded[1] > most:
            scale = sqrt(area / most)
            rounded = [max(factor, floor(side / scale / factor) * factor) for side in (height, width)]
        elif rounded[0] * rounded[1] < self.min_pixels:
            scale = sqrt(self.min_pixels / area)
            rounded = [ceil(side * scale / factor) * factor for side in (height, width)]
        return rounded[0], rounded[1]

    def load(self, clip: Clip, track: Track) -> VideoLlama3Video:
        """Return the chosen frames in patches, and which tokens are kept."""
        chosen = self.frames(clip.times)
        frames = widened(clip.frames(FramePlan(self.frames, conversion="fast")))
        height, width = self.size(clip.height, clip.width, len(frames))
        pixels = (resize(frames, (height, width), "bicubic", self.rounding) - 0.5) / 0.5
        count, rows, columns = len(frames), height // self._factor, width // self._factor
        cut = pixels.reshape(count, 3, rows, MERGE, self._patch, columns, MERGE, self._patch)
        tokens = cut.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(count, rows * columns, -1)
        times = clip.times[chosen] - clip.times[0]
        return VideoLlama3Video(
            tokens.reshape(-1, 3 * self._patch**2),
            (count, rows * MERGE, columns * MERGE),
            tuple(times.tolist()),
            _moving(tokens.detach()) if self.compress else torch.ones_like(tokens[..., 0], dtype=torch.bool),
        )

    def encode(self, track: Track, loaded: VideoLlama3Video) -> Encoded:
        """Return each frame's time stamp and tokens, as in ``VideoLlama3Processor.replace_video_token``."""
        tower = self._network.vision_model
        features = self._network.get_video_features(
            loaded.patches.to(tower.device, tower.dtype),
            torch.tensor([loaded.grid], device=tower.device),
            torch.tensor([MERGE], device=tower.device),
        ).pooler_output[0]
        frames = features.reshape(*loaded.kept.shape, -1)
        encoded: list[str | Tokens] = []
        for time, values, kept in zip(loaded.times, frames, loaded.kept.to(tower.device), strict=True):
            encoded += [f",Time {time:.1f}s:" if encoded else f"Time {time:.1f}s:", Tokens(values[kept])]
        return encoded

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return ChatML without a system turn, with a line break after each video.

        Source: the expected ids of `transformers`' integration test with lkhl/VideoLLaMA3-2B-Image-HF, and
        ``chat_template.json`` of DAMO-NLP-SG/VideoLLaMA3-7B, whose system turn is off by default.
        """
        turn: list[Any] = []
        for piece in user:
            turn += [piece, "\n"] if isinstance(piece, Slot) else [piece]
        return chatml(None, turn, answer, closed)


def _moving(tokens: Tensor) -> Tensor:
    """Return which tokens (frames, n, values) differ from the frame before, bool (frames, n); see `VideoLlama3`."""
    if len(tokens) == 1:
        return torch.ones_like(tokens[..., 0], dtype=torch.bool)
    moved = (tokens[1:] - tokens[:-1]).abs().mean(dim=-1) * 255 > THRESHOLD
    kept = torch.cat([torch.ones_like(moved[:1]), moved])
    kept[:, 0] |= ~kept.any(dim=1)
    return kept
