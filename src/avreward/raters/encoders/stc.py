"""The spatio-temporal connector of VideoLLaMA2.1, from tokens of frames to tokens of a video (arXiv:2406.07476)."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F

from avreward._extras import extra
from avreward.errors import ArgumentError

with extra("lmm"):
    from transformers.modeling_layers import GradientCheckpointingLayer

_BLOCKS = 4


class StcConnector(nn.Module):
    """Two stages of RegNet blocks (arXiv:2003.13678), with a 2 × 2 × 2 convolution between them that halves each axis.

    This is ``stc_connector_v35`` of the published checkpoints, and its parameters have their names. The 3-D convolution
    doesn't pad: with an odd number of frames, rows or columns the last one is ignored.

    Args:
        channels_in: width of the frames' tokens.
        channels_out: width of the video's tokens.

    Example:
        >>> import torch
        >>> StcConnector(8, 16)(torch.zeros(1, 4, 25, 8)).shape
        torch.Size([1, 8, 16])
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.s1 = _stage(channels_in, channels_out)
        self.sampler = nn.Sequential(nn.Conv3d(channels_out, channels_out, kernel_size=2, stride=2), nn.SiLU())
        self.s2 = _stage(channels_out, channels_out)
        self.readout = nn.Sequential(
            nn.Linear(channels_out, channels_out), nn.GELU(), nn.Linear(channels_out, channels_out)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the video's tokens (b, (frames // 2)·(side // 2)², channels_out), in the order time, row, column.

        Args:
            tokens: float (b, frames, side², channels_in), in the order row, column.

        Raises:
            ArgumentError: if a frame's tokens are not a square of 2 × 2 or more, or with fewer than two frames.
        """
        b, frames, area, _ = tokens.shape
        side = isqrt(area)
        if side * side != area or min(frames, side) < 2:
            raise ArgumentError("tokens", "a tensor (b, frames ≥ 2, side², channels) with side ≥ 2", tokens)
        # all maps are (n, channels, rows, columns) with the channels innermost in memory: convolutions are fastest with
        # this layout, and norms over the channels need no copy
        x = self.s1(tokens.flatten(0, 1).unflatten(1, (side, side)).permute(0, 3, 1, 2))
        x = self.sampler(x.unflatten(0, (b, frames)).transpose(1, 2))  # (b, channels, frames // 2, rows, columns)
        x = self.s2(x.transpose(1, 2).flatten(0, 1))
        return self.readout(x.unflatten(0, (b, -1)).permute(0, 1, 3, 4, 2).flatten(1, 3))


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    widths = [channels_in] + [channels_out] * _BLOCKS
    blocks = (_StcBottleneck(before, after) for before, after in pairwise(widths))
    return nn.Sequential(OrderedDict((f"b{i}", block) for i, block in enumerate(blocks, 1)))


class _StcBottleneck(GradientCheckpointingLayer):
    """RegNet's block with squeeze-and-excitation: (n, channels_in, h, w) to (n, channels_out, h, w)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(channels_in, channels_out)
        self.conv2 = _ConvNorm(channels_out, channels_out, kernel=3, groups=channels_out)
        self.se = _SqueezeExcite(channels_out, round(channels_in / 4))
        self.conv3 = _ConvNorm(channels_out, channels_out)
        self.downsample = nn.Identity() if channels_in == channels_out else _ConvNorm(channels_in, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.silu(self.conv2(F.silu(self.conv1(x))))
        return F.silu(self.conv3(self.se(inner)) + self.downsample(x))


class _ConvNorm(nn.Module):
    """A convolution without bias, then a LayerNorm over the channels (named as the batch norm that it replaces)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 1, groups: int = 1) -> None:
        super().__init__()
        kind = _Pointwise if kernel == 1 else nn.Conv2d
        self.conv = kind(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.LayerNorm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Pointwise(nn.Conv2d):
    """A 1 × 1 convolution as the linear map of the channels that it is: faster, and frozen weights keep no input."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.fc1 = _Pointwise(channels, reduced, 1)
        self.fc2 = _Pointwise(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * self.fc2(F.silu(self.fc1(mean))).sigmoid()
