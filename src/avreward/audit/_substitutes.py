"""What takes the place of a moment or a region of a clip while its effect on a reward is measured.

Black frames and digital silence are defects of their own, so that their score says little about what was hidden, and a
cut is a jump. The substitutes are made of the clip itself and show that nothing happens: a moment of video is a slow
cross-fade from the frame before to the frame after; a moment of audio is turned down to the level of the quietest tenth
of the track; a region is a blur with soft edges, which has its colour and light and no detail.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool1d, interpolate

BLOCK = 0.02  # s; the level of audio is that of blocks of this length
QUIET = 0.1  # of the blocks are quieter than what a moment is turned down to
FADE = 0.01  # s on each side over which the gain is averaged, so that no click is heard
CELLS = 2  # cells of the blur on each side of a block: detail finer than half a block goes


def frames_between(times: Tensor, start: float, stop: float) -> tuple[int, int]:
    """Return the (first, last + 1) of the frames shown from `start` to `stop` in s."""
    inside = (times >= start - 1e-6) & (times < stop - 1e-6)
    index = inside.nonzero()[:, 0]
    return (int(index[0]), int(index[-1]) + 1) if len(index) else (0, 0)


def video_without_moment(video: Tensor, first: int, end: int) -> Tensor:
    """Return frames (n, 3, h, w) where those from `first` to `end` fade from the frame before to the frame after.

    At an end of the video the other side's frame stays.
    """
    changed = video.clone()
    before, after = (
        video[first - 1 if first > 0 else min(end, len(video) - 1)],
        video[end if end < len(video) else first - 1],
    )
    for place in range(first, end):
        share = (place - first + 1) / (end - first + 1)
        torch.lerp(before, after, share, out=changed[place])
    return changed


def audio_without_moment(audio: Tensor, rate: int, start: float, stop: float) -> Tensor:
    """Return audio (channels, samples) with a moment turned down to the level of the track's quietest tenth.

    What is quieter stays as it is.
    """
    count = audio.shape[-1]
    first, end = min(count, round(start * rate)), min(count, round(stop * rate))
    size = max(1, min(round(BLOCK * rate), count))
    blocks = count // size
    power = audio[:, : blocks * size].reshape(audio.shape[0], blocks, size).square().mean((0, 2))
    low = power.quantile(QUIET) if power.dtype == torch.float64 else power.float().quantile(QUIET)
    gain = (low.to(power) / power.clamp(min=1e-12)).sqrt().clamp(max=1)
    mask = torch.ones(count, dtype=audio.dtype, device=audio.device)
    inside = torch.arange(first, end, device=audio.device).div(size, rounding_mode="floor").clamp(max=blocks - 1)
    mask[first:end] = gain[inside]
    fade = round(FADE * rate)
    return audio * avg_pool1d(mask[None, None], 2 * fade + 1, 1, fade, count_include_pad=False)[0, 0]


def blurred(video: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return frames (n, 3, h, w) without detail finer than half a block of `grid` (rows, columns)."""
    rows, columns = (max(1, min(side, CELLS * cells)) for side, cells in zip(video.shape[-2:], grid, strict=True))
    small = adaptive_avg_pool2d(video, (rows, columns))
    return interpolate(small, size=video.shape[-2:], mode="bilinear", align_corners=False)


def block_masks(height: int, width: int, grid: tuple[int, int]) -> Mapping[tuple[int, int], tuple[Tensor, Tensor]]:
    """Return for each block of `grid` its weights down (height,) and across (width,): 1 inside, soft at its edges.

    The weights of all blocks add up to 1 at every pixel.
    """
    down, across = _ramps(height, grid[0]), _ramps(width, grid[1])
    return {(row, column): (down[row], across[column]) for row in range(grid[0]) for column in range(grid[1])}


def video_without_region(video: Tensor, soft: Tensor, mask: tuple[Tensor, Tensor]) -> Tensor:
    """Return frames with a region (see `block_masks`) replaced by that of `soft`."""
    down, across = (side.to(video) for side in mask)
    rows, columns = down.nonzero()[:, 0], across.nonzero()[:, 0]
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    changed = video.clone()
    weight = down[top:bottom, None] * across[None, left:right]
    part = changed[..., top:bottom, left:right]
    part += weight * (soft[..., top:bottom, left:right] - part)
    return changed


def _ramps(size: int, blocks: int) -> Tensor:
    """Return (blocks, size): the weights of each block along one side; neighbours cross over a quarter of a block."""
    length = size / blocks
    place = (torch.arange(size, dtype=torch.float32) + 0.5)[None]
    edges = torch.arange(blocks + 1, dtype=torch.float32)[:, None] * length
    rise = ((place - edges) / max(1.0, length / 4) + 0.5).clamp(0, 1)  # (blocks + 1, size)
    rise[0], rise[-1] = 1.0, 0.0
    return rise[:-1] - rise[1:]
