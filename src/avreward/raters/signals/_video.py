"""Input of the video measurements: a few frames at native scale, and all frames at a small size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from avreward.raters.signals._gates import magnitude

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Frames:
    """Single frames, spread evenly over the clip.

    `detail` (n, height, width) is luma at native scale, a central window of at most 1024 × 1024; `colour` (n, 3, h, w)
    the whole frames in RGB, the longer side at most 160. Values 0 … 1.
    """

    detail: Tensor
    colour: Tensor


@dataclass(frozen=True)
class Motion:
    """A stretch of consecutive frames: `luma` (frames, h, w), the longer side at most 160; `times` (frames,) in s."""

    luma: Tensor
    times: Tensor

    @cached_property
    def coarse(self) -> Tensor:
        """`luma` averaged over 4 × 4 (frames, h/4, w/4): motion of a few pixels stays smooth at this scale."""
        size = max(1, self.luma.shape[-2] // 4), max(1, self.luma.shape[-1] // 4)
        return torch.nn.functional.adaptive_avg_pool2d(self.luma.unsqueeze(1), size).squeeze(1)

    @cached_property
    def steps(self) -> Tensor:
        """The time from each frame to the next in s (frames − 1,), in the video's dtype."""
        return self.times.diff().to(self.luma)

    @cached_property
    def changes(self) -> Tensor:
        """Absolute change of luma from each frame to the next (frames − 1, h, w), rounded off near zero."""
        return magnitude(self.luma.diff(dim=0), 1e-4)


def to_luma(frames: Tensor) -> Tensor:
    """Return BT.601 luma (…, h, w) of RGB frames (…, 3, h, w), float in [0, 1] or 8-bit levels."""
    red, green, blue = (to_unit(plane) for plane in frames.unbind(-3))
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def to_unit(frames: Tensor) -> Tensor:
    """Return frames, float in [0, 1] or 8-bit levels, as float in [0, 1]."""
    return frames.float().div_(255) if frames.dtype == torch.uint8 else frames
