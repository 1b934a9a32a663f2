"""What the Qwen families share: how they see a film, their chat format, and positions on three axes."""

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
    """What a vision tower takes in.

    Attributes:
        patches: float (n, 3·2·patch²).
        grid: (steps, rows, columns) of them.
        times: of the frames, in seconds after the clip's first.
        seconds: between two steps on average.
    """

    patches: Tensor
    grid: tuple[int, int, int]
    times: tuple[float, ...]
    seconds: float


class Qwen(Backbone):
    """A Qwen model that sees films.

    Frames are chosen, sized and normalised as qwen-vl-utils does it; see `QwenFrames` and `QwenPatches`. A film of one
    frame shows it twice.

    Args:
        module, tokenizer, rounding: as for `Backbone`.
        frames: which frames are looked at; as published, two a second, 768 at most.
        min_pixels, max_pixels: of a frame; as published, those of 128 and of 768 tokens.
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
        """From hidden states (…, width) to logits (…, vocabulary)."""
        return self.module.lm_head  # type: ignore[return-value]

    @property
    def per_second(self) -> float | None:
        """Positions that a second takes on the axis of time; None where every step takes one."""
        return None

    @property
    def settings(self) -> Mapping[str, str]:
        """Which frames are seen, how large, and on which positions."""
        steps = "one a step" if self.per_second is None else f"{self.per_second:g} a second"
        return {"frames": repr(self.frames), "patches": repr(self.patches), "positions in time": steps}

    def load(self, clip: Clip, track: Track) -> Any:
        """The chosen frames as patches."""
        chosen = self.frames(clip.times)
        patches, grid = self.patches(clip.frames(FramePlan(self.frames)), self.rounding)
        times = clip.times[chosen] - clip.times[0]
        return QwenVideo(patches, grid, tuple(times.tolist()), STEP * duration(clip.times) / len(chosen))

    def encode(self, track: Track, loaded: Any) -> Encoded:
        """One token for each `merge` × `merge` patches, between the delimiters of the published processor."""
        return [self.around[0], self._see(loaded), self.around[1]]

    def chat(self, user: Prompt, answer: Prompt = (), closed: bool = False) -> list[Any]:
        """ChatML, with the system turn that the published chat template adds where none is given."""
        return chatml(self.system, user, answer, closed)

    def positions(self, parts: Sequence[Text | Tokens]) -> Tensor:
        """Time, row and column of every token, int64 (3, length); see `mrope`."""
        return mrope(parts, self.per_second)

    def _see(self, film: QwenVideo) -> Tokens:
        """The tokens of a whole film."""
        tower = self._tower
        found = tower(
            film.patches.to(tower.device, tower.dtype), grid_thw=torch.tensor([film.grid], device=tower.device)
        )
        return Tokens(
            found.pooler_output,
            grid=self._grid(film),
            seconds=self._seconds(film),
            deep=tuple(getattr(found, "deepstack_features", ())),
        )

    def _grid(self, film: QwenVideo) -> tuple[int, int, int]:
        """Steps, rows and columns of tokens."""
        steps, rows, columns = film.grid
        return steps, rows // self.patches.merge, columns // self.patches.merge

    def _seconds(self, film: QwenVideo) -> float | None:
        """Between two steps, where positions count time."""
        return None


def chatml(system: str | None, user: Prompt, answer: Prompt, closed: bool) -> list[Any]:
    """One exchange in ChatML: a system turn if there is one, the user's, and the answer's as far as it is given.

    >>> chatml(None, ["Good?"], ["Yes"], closed=True)
    ['<|im_start|>user\\n', 'Good?', '<|im_end|>\\n<|im_start|>assistant\\n', 'Yes', '<|im_end|>\\n']
    """
    opening = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    turn, end = "<|im_end|>\n<|im_start|>assistant\n", ["<|im_end|>\n"] if closed else []
    return [f"{opening}<|im_start|>user\n", *user, turn, *answer, *end]
