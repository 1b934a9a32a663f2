"""Luma, and the input of the measurements along time: all frames at a small size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from avreward.raters.signals._gates import rounded
from avreward.raters.signals._kept import Kept

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_SOFTNESS = 1e-4  # of luma; smaller changes are rounded off
IN_CACHE = 2**17  # floats of which a few arrays fit the cache of one core


RedGreenBlue = tuple[Tensor, ...]
"""Red, green and blue of a frame in 8 bits, (h, w) each."""


class Course(NamedTuple):
    """What frames have along time, taken from a few of them at a time.

    `mean` (frames,) luma; `coarse` (frames, h/4, w/4), luma averaged over 4 × 4: motion of a few pixels stays smooth at
    this scale. The mean absolute change of luma from each frame to the next, rounded off near zero, of the `whole`
    picture (frames − 1,), and of 6 × 8 `blocks` (frames − 1, 6, 8).
    """

    mean: Tensor
    coarse: Tensor
    whole: Tensor
    blocks: Tensor


@dataclass(frozen=True)
class Motion:
    """A stretch of consecutive frames, the longer side at most 160, and their `times` (frames,) in s.

    `frames` is luma, float (frames, h, w), or RGB in 8 bits, (frames, 3, h, w), which takes less memory.
    """

    frames: Tensor
    times: Tensor

    @Kept
    def steps(self) -> Tensor:
        """The time from each frame to the next in s (frames − 1,), in the video's dtype."""
        return self.times.diff().to(self.course.mean)

    @Kept
    def course(self) -> Course:
        """What the frames have along time."""
        height, width = self.frames.shape[-2:]
        count = max(1, len(self.frames) - 1)
        together = max(1, IN_CACHE // (height * width)) if in_parts(self.frames) else count
        parts = []
        for start in range(0, count, together):
            some = self.frames[start : start + together + 1]
            last = start + together >= count
            parts.append(_course(to_luma(some) if some.dtype == torch.uint8 else some, last))
        return Course(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _course(luma: Tensor, last: bool) -> Course:
    """Return what some frames (n, h, w) have; except in the `last` part, the last one is the next part's first."""
    size = max(1, luma.shape[-2] // 4), max(1, luma.shape[-1] // 4)
    own = luma if last else luma[:-1]
    change = rounded(luma[1:] - luma[:-1], _SOFTNESS)
    return Course(
        mean=own.mean((-2, -1)),
        coarse=adaptive_avg_pool2d(own.unsqueeze(1), size).squeeze(1),
        whole=change.mean((-2, -1)) - _SOFTNESS,
        blocks=adaptive_avg_pool2d(change.unsqueeze(1), (6, 8)).squeeze(1) - _SOFTNESS,
    )


def in_parts(tensor: Tensor) -> bool:
    """Return whether to work on parts that fit the cache: not on a GPU, nor with a gradient.

    Each part would start kernels of its own, and add up a gradient of the whole tensor.
    """
    return tensor.device.type == "cpu" and not tensor.requires_grad


def to_luma(frames: Tensor) -> Tensor:
    """Return BT.601 luma (…, h, w) of RGB frames (…, 3, h, w), float in [0, 1] or 8-bit levels."""
    red, green, blue = frames.unbind(-3)
    if frames.dtype == torch.uint8:
        return luma_of_levels(red, green, blue)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def luma_of_levels(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    """Return luma in [0, 1] of 8-bit levels, all of one shape."""
    luma = red.float().mul_(LUMA[0] / 255)
    return luma.add_(green.float(), alpha=LUMA[1] / 255).add_(blue.float(), alpha=LUMA[2] / 255)


def to_unit(frames: Tensor) -> Tensor:
    """Return frames, float in [0, 1] or 8-bit levels, as float in [0, 1]."""
    return frames.float().div_(255) if frames.dtype == torch.uint8 else frames
