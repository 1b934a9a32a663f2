"""What DOVER looks at: fragments of three clips for technical quality, whole frames for aesthetics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError
from avreward.media._precision import widened
from avreward.media._resize import resize
from avreward.media._video.chosen import ChosenFrames
from avreward.media.rounding import Rounding, to_uint8_levels
from avreward.media.sampling import FramePlan
from avreward.media.sampling_rules import DoverFrames
from avreward.raters.encoders._vqa_frames import check_views, fragment_view, normalized
from avreward.raters.encoders.fragments import Fragments


@dataclass(frozen=True, eq=False)
class DoverInput:
    """Both views of one video, normalised.

    Attributes:
        technical: fragments (clips, 3, frames, side, side).
        aesthetic: whole frames (1, 3, frames, side, side).
    """

    technical: Tensor
    aesthetic: Tensor


@dataclass(frozen=True)
class DoverViews:
    """How a video becomes DOVER's two views; the defaults are those of the published ``dover.yml`` (val-l1080p).

    The published code draws frames and patches at random, also for evaluation. Here each is the middle of its range,
    unless there is a `seed`.

    Args:
        clips, clip_frames, interval: of the technical view: clips spread over the video, frames of each, and how many
            frames of the video one is after the other.
        grid, patch: of the technical view: patches a side, and pixels a side of each patch.
        aesthetic_frames, side: of the aesthetic view: frames spread over the video, and their side in pixels.
        antialias: resize the frames of the aesthetic view as torchvision does since release 0.17; before, and when the
            published weights were trained, it left out the antialiasing.
        seed: draws frames and patches for each video, as the published code does (*optional*).

    Raises:
        ArgumentError: for a size that is not a positive integer, or another `antialias` or `seed`.
    """

    clips: int = 3
    clip_frames: int = 32
    interval: int = 2
    grid: int = 7
    patch: int = 32
    aesthetic_frames: int = 32
    side: int = 224
    antialias: bool = True
    seed: int | None = None

    def __post_init__(self) -> None:
        sizes = ("clips", "clip_frames", "interval", "grid", "patch", "aesthetic_frames", "side")
        check_views({name: getattr(self, name) for name in sizes}, self.seed)
        if not isinstance(self.antialias, bool):
            raise ArgumentError("antialias", "True or False", self.antialias)

    def __call__(self, clip: Clip, rounding: Rounding) -> DoverInput:
        """Return both views of the video of `clip`, which is decoded once, in 8-bit steps as `rounding` says."""
        generator = self._generator()
        technical, aesthetic = self.indices(clip.times, generator)
        chosen, places = torch.cat([technical, aesthetic]).unique(return_inverse=True)
        frames = widened(clip.frames(_these(chosen)))
        places = places.to(frames.device)
        cut = Fragments(self.grid, self.grid, self.patch, self.patch, aligned=self.clip_frames)
        height, width = frames.shape[2:]
        offsets = cut.offsets(height, width, self.clips, generator)
        clips = [
            fragment_view(frames[own], cut, rounding, (offsets[0][..., i : i + 1], offsets[1][..., i : i + 1]))
            for i, own in enumerate(places[: len(technical)].split(self.clip_frames))
        ]
        whole = self._resized(frames[places[len(technical) :]], rounding)
        return DoverInput(torch.stack(clips), normalized(whole)[None])

    def plan(self, clip: Clip) -> FramePlan:
        """Return the frames of both views."""
        return _these(torch.cat(self.indices(clip.times, self._generator())).unique())

    def indices(self, times: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the frames of the technical view (clips · clip_frames,) and of the aesthetic one, of a video.

        Args:
            times: of the video's frames, (n,) in seconds.
            generator: draws them, technical ones first (*optional*).
        """
        technical = DoverFrames(self.clip_frames, self.clips, self.interval)
        aesthetic = DoverFrames(1, self.aesthetic_frames, self.interval)
        if generator is not None:
            technical, aesthetic = (rule.drawn(len(times), generator) for rule in (technical, aesthetic))
        return technical(times), aesthetic(times)

    def _generator(self) -> torch.Generator | None:
        return None if self.seed is None else torch.Generator().manual_seed(self.seed)

    def _resized(self, frames: Tensor, rounding: Rounding) -> Tensor:
        """Return whole frames at the side of the aesthetic view, still in [0, 1]."""
        size = (self.side, self.side)
        if self.antialias:
            return resize(frames, size, "bilinear", rounding)
        levels = to_uint8_levels(frames, rounding)
        return to_uint8_levels(torch.nn.functional.interpolate(levels, size, mode="bilinear"), rounding)


def _these(chosen: Tensor) -> FramePlan:
    return FramePlan(ChosenFrames.of(chosen), conversion="fast")
