"""Choose the frames of a clip to decode, and find the latents that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

Frames = Literal["all", "first", "last", "uniform", "random"]


@dataclass(frozen=True)
class FrameGrid:
    """How latents map to frames.

    Args:
        ratio: frames per latent; the first latent gives one frame, each further one gives `ratio`.
        before: how many earlier latents a frame depends on; `None` for all.
        after: how many later latents a frame depends on; `None` for all.
    """

    ratio: int = 1
    before: int | None = None
    after: int | None = None

    def frames(self, latents: int) -> int:
        """Return the number of frames from this many latents: ``1 + ratio * (latents - 1)``."""
        return 1 + self.ratio * (latents - 1)

    def latent_of(self, frame: int) -> int:
        """Return the index of the latent that a frame belongs to."""
        return -(-frame // self.ratio)


@dataclass(frozen=True)
class LatentWindow:
    """A range of latents, `start` to `stop`, decoded together; `picked` are the indices of decoded frames to keep."""

    start: int
    stop: int
    picked: tuple[int, ...]


def choose(total: int, frames: Frames, count: int, generator: torch.Generator) -> list[int]:
    """Return the indices of the chosen frames out of `total`, ascending.

    `uniform` takes the middles of `count` equal parts, `random` draws `count` without repetition; both take all frames
    if there are at most `count`.

    >>> choose(81, "uniform", 3, torch.Generator())
    [13, 40, 67]
    """
    if frames == "first" or frames == "last":
        return [0 if frames == "first" else total - 1]
    if frames == "all" or count >= total:
        return list(range(total))
    if frames == "uniform":
        return [(2 * k + 1) * total // (2 * count) for k in range(count)]
    return sorted(torch.randperm(total, generator=generator)[:count].tolist())


def windows(grid: FrameGrid, latents: int, chosen: Sequence[int]) -> list[LatentWindow]:
    """Return the ranges of latents to decode for the frames `chosen` (ascending); adjacent ranges are merged.

    >>> windows(FrameGrid(4, before=None, after=0), 21, [0, 6])  # causal: from the start to the last one
    [LatentWindow(start=0, stop=3, picked=(0, 6))]
    >>> windows(FrameGrid(4, before=1, after=1), 21, [0, 40])
    [LatentWindow(start=0, stop=2, picked=(0,)), LatentWindow(start=9, stop=12, picked=(4,))]
    """
    spans: list[tuple[int, int, list[int]]] = []
    for frame in chosen:
        own = grid.latent_of(frame)
        start = 0 if grid.before is None else max(0, own - grid.before)
        stop = latents if grid.after is None else min(latents, own + grid.after + 1)
        if spans and start <= spans[-1][1]:
            first, last, picked = spans.pop()
            spans.append((first, max(stop, last), [*picked, frame]))
        else:
            spans.append((start, stop, [frame]))
    return [LatentWindow(start, stop, tuple(f - start * grid.ratio for f in picked)) for start, stop, picked in spans]
