"""What AIGVEval looks at: key frames, dense frames for motion, fragments for technical quality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.media._precision import widened
from avreward.media._resize import resize
from avreward.media._video.chosen import ChosenFrames
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan
from avreward.media.sampling_rules import CentredClip, UniformFrames
from avreward.raters.encoders._vqa_frames import check_views, fragment_view, normalized
from avreward.raters.encoders.fragments import Fragments


@dataclass(frozen=True, eq=False)
class AigvEvalInput:
    """The three views of one video, normalised; one that no encoder reads is absent.

    Attributes:
        semantic: key frames (frames, 3, side, side).
        motion: dense frames (1, 3, frames, side, side).
        technical: fragments of the key frames (1, 3, frames, side, side).
    """

    semantic: Tensor | None
    motion: Tensor | None
    technical: Tensor | None


@dataclass(frozen=True)
class AigvEvalViews:
    """How a video becomes AIGVEval's three views; the defaults are those of the published code.

    Args:
        frames, interval: key frames, and how many frames of the video one is after the other, in its middle.
        dense: frames for motion, from the first to the last of the video.
        side: of key frames and dense frames in pixels; they are squashed to it without antialiasing.
        grid, patch: patches a side of the fragments, and pixels a side of each patch.
        seed: draws the places of the patches for each video, as the published code does (*optional*: the middle of
            each cell).
        stale_size: for a video that is smaller than the fragments, cut as the published code does, which misses the
            right and the lower border; see `Fragments`.

    Raises:
        ArgumentError: for a size that is not a positive integer, or a wrong `seed`.
    """

    frames: int = 8
    interval: int = 2
    dense: int = 32
    side: int = 224
    grid: int = 7
    patch: int = 32
    seed: int | None = None
    stale_size: bool = False

    def __post_init__(self) -> None:
        sizes = ("frames", "interval", "dense", "side", "grid", "patch")
        check_views({name: getattr(self, name) for name in sizes}, self.seed)
        if not isinstance(self.stale_size, bool):
            raise ArgumentError("stale_size", "True or False", self.stale_size)

    def __call__(self, clip: Clip, rounding: Rounding, encoders: tuple[str, ...]) -> AigvEvalInput:
        """Return the views that `encoders` read of the video of `clip`, which is decoded once."""
        key, dense = self.indices(clip.times)
        chosen, places = self._needed(clip, encoders).unique(return_inverse=True)
        frames = widened(clip.frames(_these(chosen)))
        places = places.to(frames.device)
        own = frames[places[-len(key) :]]
        moving = frames[places[: len(dense)]] if "motion" in encoders else None
        return AigvEvalInput(
            normalized(self.resized(own, rounding)).movedim(0, 1) if "semantic" in encoders else None,
            normalized(self.resized(moving, rounding))[None] if moving is not None else None,
            self._fragments(own, rounding)[None] if "technical" in encoders else None,
        )

    def plan(self, clip: Clip, encoders: tuple[str, ...]) -> FramePlan:
        """Return the frames of the views that `encoders` read."""
        return _these(self._needed(clip, encoders).unique())

    def _needed(self, clip: Clip, encoders: tuple[str, ...]) -> Tensor:
        key, dense = self.indices(clip.times)
        return torch.cat([*([dense] if "motion" in encoders else []), key])

    def indices(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Return the key frames (frames,) and the dense ones (dense,) of a video; `times`: of its frames, (n,) in s."""
        return CentredClip(self.frames, self.interval)(times), UniformFrames(self.dense)(times)

    def resized(self, frames: Tensor, rounding: Rounding) -> Tensor:
        """Return frames at the side that the encoders of whole frames read, still in [0, 1]."""
        return resize(frames, (self.side, self.side), "nearest", rounding)

    def _fragments(self, frames: Tensor, rounding: Rounding) -> Tensor:
        cut = Fragments(self.grid, self.grid, self.patch, self.patch, self.frames, self.stale_size)
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        return fragment_view(frames, cut, rounding, generator=generator)


def _these(chosen: Tensor) -> FramePlan:
    return FramePlan(ChosenFrames.of(chosen), conversion="fast")
