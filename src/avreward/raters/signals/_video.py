"""Luma, and the input of the measurements along time: all frames at a small size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from avreward.raters.signals._gates import rounded

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_SOFTNESS = 1e-4  # of luma; smaller changes are rounded off
IN_CACHE = 2**17  # floats of which a few arrays fit the cache of one core


@dataclass(frozen=True)
class Motion:
    """A stretch of consecutive frames: `luma` (frames, h, w), the longer side at most 160; `times` (frames,) in s."""

    luma: Tensor
    times: Tensor

    @cached_property
    def coarse(self) -> Tensor:
        """`luma` averaged over 4 × 4 (frames, h/4, w/4): motion of a few pixels stays smooth at this scale."""
        return _pooled(self.luma, max(1, self.luma.shape[-2] // 4), max(1, self.luma.shape[-1] // 4))

    @cached_property
    def steps(self) -> Tensor:
        """The time from each frame to the next in s (frames − 1,), in the video's dtype."""
        return self.times.diff().to(self.luma)

    @cached_property
    def changes(self) -> tuple[Tensor, Tensor]:
        """Mean absolute change of luma from each frame to the next, rounded off near zero.

        Of the whole picture (frames − 1,), and of 6 × 8 blocks (frames − 1, 6, 8). With a gradient all frames are taken
        at once: each part would add up a gradient of the whole video.
        """
        count = max(1, self.luma.shape[0] - 1)
        together = count if self.luma.requires_grad else max(1, IN_CACHE // self.luma[0].numel())
        whole, blocks = [], []
        for start in range(0, count, together):
            some = self.luma[start : start + together + 1]
            change = rounded(some[1:] - some[:-1], _SOFTNESS)
            whole.append(change.mean((-2, -1)) - _SOFTNESS)
            blocks.append(_pooled(change, 6, 8) - _SOFTNESS)
        return torch.cat(whole), torch.cat(blocks)


def _pooled(frames: Tensor, height: int, width: int) -> Tensor:
    """Return means of cells, (n, h, w) → (n, height, width), as of `adaptive_avg_pool2d`, which is slower."""
    down, across = (
        _cells(*sizes, frames.dtype, frames.device) for sizes in ((frames.shape[1], height), (frames.shape[2], width))
    )
    return down @ frames @ across.T


@lru_cache(maxsize=32)  # the clips of one job have few sizes
@torch.inference_mode(False)  # or a gradient could not pass it afterwards
def _cells(size: int, cells: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return what each pixel counts in each cell (cells, size); a border within a pixel gives it to both cells."""
    place, cell = torch.arange(size, device=device), torch.arange(cells, device=device)[:, None]
    inside = (place >= cell * size // cells) & (place < ((cell + 1) * size + cells - 1) // cells)
    return (inside / inside.sum(1, keepdim=True)).to(dtype)


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
