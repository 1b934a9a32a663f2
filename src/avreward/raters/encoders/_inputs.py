"""Check the inputs of networks that read videos."""

from __future__ import annotations

from torch import Tensor

from avreward.errors import ArgumentError


def check_videos(video: Tensor, name: str = "video", frames: int = 1, side: int = 1) -> None:
    """Raise `ArgumentError` unless `video` is a batch of colour videos that the network can read.

    Args:
        video: (batch, 3, frames, height, width).
        name: of the argument, for the error.
        frames: how many it has at least.
        side: how many pixels its height and width have at least.
    """
    shape = tuple(video.shape)
    well = len(shape) == 5 and shape[1] == 3 and shape[0] > 0
    if not (well and shape[2] >= frames and min(shape[3:]) >= side):
        least = f" with {frames} frames and {side} pixels a side or more" if (frames, side) != (1, 1) else ""
        raise ArgumentError(name, f"a tensor (batch, 3, frames, height, width){least}", shape)
