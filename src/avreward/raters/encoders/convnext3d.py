"""ConvNeXt3D-T, DOVER's aesthetic branch: a ConvNeXt with temporal depthwise convolutions in every third block.

Wu et al., ICCV 2023, arXiv:2211.04894; ConvNeXt: Liu et al., CVPR 2022, arXiv:2201.03545. The weights have the
names of the published checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from avreward.raters.encoders._inputs import check_videos

EPS = 1e-6


class ConvNext3d(nn.Module):
    """ConvNeXt3D without a head.

    Args:
        depths: blocks of each stage.
        widths: channels of each stage.

    Example:
        >>> ConvNext3d((1, 2), (8, 16))(torch.zeros(1, 3, 8, 32, 48)).shape
        torch.Size([1, 16, 4, 4, 6])
    """

    def __init__(self, depths: Sequence[int] = (3, 3, 9, 3), widths: Sequence[int] = (96, 192, 384, 768)) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv3d(3, widths[0], (2, 4, 4), (2, 4, 4)), _ChannelNorm(widths[0]))
        shrink = [
            nn.Sequential(_ChannelNorm(narrow), nn.Conv3d(narrow, wide, (1, 2, 2), (1, 2, 2)))
            for narrow, wide in pairwise(widths)
        ]
        self.downsample_layers = nn.ModuleList([stem, *shrink])
        self.stages = nn.ModuleList(
            nn.Sequential(*(_ConvNextBlock(width, 3 if block % 3 == 1 else 1) for block in range(depth)))
            for depth, width in zip(depths, widths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=EPS)

    def forward(self, video: Tensor) -> Tensor:
        """Return the features (batch, channels, frames/2, height/32, width/32).

        Args:
            video: (batch, 3, frames, height, width), normalised, of at least two frames and 32 pixels a side (with four
                stages).

        Raises:
            ArgumentError: for another tensor.
        """
        check_videos(video, frames=2, side=4 * 2 ** (len(self.stages) - 1))
        for shrink, stage in zip(self.downsample_layers, self.stages, strict=True):
            video = stage(shrink(video))
        return self.norm(video.movedim(1, -1)).movedim(-1, 1)


class _ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (batch, channels, …)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = nn.functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, EPS)
        return normed.movedim(-1, 1)


class _ConvNextBlock(nn.Module):
    worth_checkpointing = True

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv3d(channels, channels, (time, 7, 7), padding=(time // 2, 3, 3), groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).movedim(1, -1))
        y = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(y)))
        return x + y.movedim(-1, 1)
