"""Common parts of the Qwen families: video preprocessing, chat format, and positions on three axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan, FrameRule, duration
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.base import Track
from avreward.raters.encoders._mrope import mrope
from avreward.raters.encoders._qwen_patches import CLIP_MEAN, CLIP_STD, STEP, QwenPatches
from avreward.raters.encoders._version import VERSION as ENCODERS
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Encoded, Prompt, Text, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TWO_A_SECOND = QwenFrames(2.0)


@dataclass(frozen=True, eq=False)
class QwenVideo:
    """The input of a vision tower.

    Attributes:
        patches: float (n, 3·2·patch²).
        grid: (steps, rows, columns) of the patches.
        times: of the frames, in seconds after the clip's first frame.
        seconds: mean time between two steps.
    """

    patches: Tensor
    grid: tuple[int, int, int]
    times: tuple[float, ...]
    seconds: float


class Qwen(Backbone):
    """A Qwen model that takes video.

    Frames are chosen, resized and normalised as in qwen-vl-utils; see `QwenFrames` and `QwenPatches`. If a video has
    one frame, it is used twice.

    Args:
        module: the complete network; see `Backbone`.
        tokenizer: of its language model.
        rounding: how to apply the original's rounding steps; see `Backbone`.
        frames: rule that chooses frames; by default two per second, at most 768, as published.
        min_pixels: of a frame; by default the pixels of 128 tokens, as published.
        max_pixels: of a frame; by default the pixels of 768 tokens, as published.
    """

    tracks: ClassVar[tuple[Track, ...]] = ("video",)
    versions: ClassVar[Mapping[str, int]] = MappingProxyType({"encoders": ENCODERS})
    network: ClassVar[str]
    system: ClassVar[str | None] = "You are a helpful assistant."
    around: ClassVar[tuple[str, str]] = ("<|vision_start|>", "<|vision_end|>")
    mean: ClassVar[tuple[float, float, float]] = CLIP_MEAN
    std: ClassVar[tuple[float, float, float]] = CLIP_STD
    tokens_at_most: ClassVar[int] = 115_200  # 90 % of 128,000 positions

    def __init__(
        self,
        module: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        rounding: Rounding = "straight_through",
        frames: FrameRule = TWO_A_SECOND,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(module, tokenizer, rounding)
        vision = self._config.vision_config
        token = (vision.patch_size * vision.spatial_merge_size) ** 2  # pixels
        self.frames = frames
        self.min_pixels, self.max_pixels = min_pixels or 128 * token, max_pixels or 768 * token
        self.patches = QwenPatches(
            least=self.min_pixels,
            most=self.max_pixels,
            total=self.tokens_at_most * token,
            patch=vision.patch_size,
            merge=vision.spatial_merge_size,
            mean=self.mean,
            std=self.std,
        )

    @property
    def _config(self) -> Any:
        return self.module.config

    @property
    def _tower(self) -> Any:
        owner: Any = self.module
        return owner.visual if hasattr(owner, "visual") else owner.model.visual

    @property
    def language(self) -> PreTrainedModel:
        """The Qwen decoder."""
        return self.module.get_decoder()  # type: ignore[operator]

    @property
    def head(self) -> nn.Module:
        """The layer from hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def per_second(self) -> float | None:
        """Positions per second on the time axis; None if every step takes one."""
        return None

    @property
    def settings(self) -> Mapping[str, str]:
        """Frames, their size, and their positions: label → value."""
        steps = "one a step" if self.per_second is None else f"{self.per_second:g} a second"
        return {
            "frames": f"{self.frames!r}, fast conversion",
            "patches": repr(self.patches),
            "positions in time": steps,
        }

    def load(self, clip: Clip, track: Track) -> Any:
        """Decode the chosen frames and cut them into patches."""
        chosen = self.frames(clip.times)
        patches, grid = self.patches(clip.frames(FramePlan(self.frames, conversion="fast")), self.rounding)
        times = clip.times[chosen] - clip.times[0]
        return QwenVideo(patches, grid, tuple(times.tolist()), STEP * duration(clip.times) / len(chosen))

    def encode(self, track: Track, loaded: Any) -> Encoded:
        """Return one token for each `merge` × `merge` patches, between the delimiters of the published processor."""
        return [self.around[0], self._see(loaded), self.around[1]]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """Return ChatML, with the system turn that the published chat template adds by default."""
        return chatml(self.system, user, answer, closed)

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Return time, row and column of every token, int64 (3, length); see `mrope`."""
        return mrope(parts, self.per_second)

    def _see(self, video: QwenVideo) -> Tokens:
        """Return the tokens of a complete video."""
        tower = self._tower
        found = tower(
            video.patches.to(tower.device, tower.dtype), grid_thw=torch.tensor([video.grid], device=tower.device)
        )
        return Tokens(
            found.pooler_output,
            grid=self._grid(video),
            seconds=self._seconds(video),
            deep=tuple(getattr(found, "deepstack_features", ())),
        )

    def _grid(self, video: QwenVideo) -> tuple[int, int, int]:
        """Return steps, rows and columns of tokens."""
        steps, rows, columns = video.grid
        return steps, rows // self.patches.merge, columns // self.patches.merge

    def _seconds(self, video: QwenVideo) -> float | None:
        """Return the time between two steps, if positions count time."""
        return None


def chatml(system: str | None, user: Prompt, answer: Prompt, closed: bool) -> list[Any]:
    r"""Return an exchange in ChatML: the system turn if there is one, the user's turn, the beginning of the answer.

    Example:
        >>> chatml(None, ["Good?"], ["Yes"], closed=True)
        ['<|im_start|>user\n', 'Good?', '<|im_end|>\n<|im_start|>assistant\n', 'Yes', '<|im_end|>\n']
    """
    opening = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    turn, end = "<|im_end|>\n<|im_start|>assistant\n", ["<|im_end|>\n"] if closed else []
    return [f"{opening}<|im_start|>user\n", *user, turn, *answer, *end]
