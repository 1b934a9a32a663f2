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


class Changes(NamedTuple):
    """From each frame to the next: of the `whole` picture (frames − 1,), and of 6 × 8 `blocks` (frames − 1, 6, 8)."""

    whole: Tensor
    blocks: Tensor


@dataclass(frozen=True)
class Motion:
    """A stretch of consecutive frames: `luma` (frames, h, w), the longer side at most 160; `times` (frames,) in s."""

    luma: Tensor
    times: Tensor

    @Kept
    def coarse(self) -> Tensor:
        """`luma` averaged over 4 × 4 (frames, h/4, w/4): motion of a few pixels stays smooth at this scale."""
        size = max(1, self.luma.shape[-2] // 4), max(1, self.luma.shape[-1] // 4)
        return adaptive_avg_pool2d(self.luma.unsqueeze(1), size).squeeze(1)

    @Kept
    def steps(self) -> Tensor:
        """The time from each frame to the next in s (frames − 1,), in the video's dtype."""
        return self.times.diff().to(self.luma)

    @Kept
    def changes(self) -> Changes:
        """Mean absolute change of luma from each frame to the next, rounded off near zero."""
        count = max(1, self.luma.shape[0] - 1)
        together = max(1, IN_CACHE // self.luma[0].numel()) if in_parts(self.luma) else count
        whole, blocks = [], []
        for start in range(0, count, together):
            some = self.luma[start : start + together + 1]
            change = rounded(some[1:] - some[:-1], _SOFTNESS)
            whole.append(change.mean((-2, -1)) - _SOFTNESS)
            blocks.append(adaptive_avg_pool2d(change.unsqueeze(1), (6, 8)).squeeze(1) - _SOFTNESS)
        return Changes(torch.cat(whole), torch.cat(blocks))


def in_parts(tensor: Tensor) -> bool:
    """Return whether to work on parts that fit the cache: not on a GPU, nor with a gradient.

    Each part would start kernels of its own, and add up a gradient of the whole tensor.
    """
    return tensor.device.type == "cpu" and not tensor.requires_grad


def to_luma(frames: Tensor) -> Tensor:
    """Return BT.601 luma (…, h, w) of RGB frames (…, 3, h, w), float in [0, 1] or 8-bit levels."""
    if frames.dtype != torch.uint8:
        red, green, blue = frames.unbind(-3)
        return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    height, width = frames.shape[-2:]
    luma = torch.empty(*frames.shape[:-3], height, width, dtype=torch.float32, device=frames.device)
    together = max(1, IN_CACHE // (height * width))
    rows = zip(
        frames.view(-1, 3, height, width).split(together), luma.view(-1, height, width).split(together), strict=True
    )
    for levels, out in rows:
        red, green, blue = levels.unbind(1)
        torch.mul(red, LUMA[0] / 255, out=out).add_(green, alpha=LUMA[1] / 255).add_(blue, alpha=LUMA[2] / 255)
    return luma


def to_unit(frames: Tensor) -> Tensor:
    """Return frames, float in [0, 1] or 8-bit levels, as float in [0, 1]."""
    return frames.float().div_(255) if frames.dtype == torch.uint8 else frames
