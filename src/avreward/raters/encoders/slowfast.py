"""SlowFast-R50, two 3D residual networks at two frame rates (Feichtenhofer et al., ICCV 2019, arXiv:1812.03982).

The weights have the names of the public checkpoint ``slowfast_r50``, such as
``blocks.0.multipathway_blocks.0.conv.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from avreward.errors import ArgumentError
from avreward.raters.checkpoints._sizes import count_numbered
from avreward.raters.encoders._inputs import check_videos

ALPHA = 4  # frames of the fast pathway for one of the slow pathway
POOL = ((8, 7, 7), (32, 7, 7))  # time, height, width of the public head's pooling, slow and fast


@dataclass(frozen=True)
class SlowFastConfig:
    """Sizes of a SlowFast network; the defaults are those of ``slowfast_r50``.

    Args:
        depths: residual blocks of each stage.
        width: channels of the slow pathway's stem.
        ratio: how many times fewer channels the fast pathway has.
        classes: rows of the classifier; ``None`` for a network without one.
    """

    depths: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    ratio: int = 8
    classes: int | None = None


class SlowFast(nn.Module):
    """SlowFast; it has a classifier only if the configuration has classes.

    Example:
        >>> network = SlowFast(SlowFastConfig(depths=(1, 1), width=16))
        >>> fast = torch.zeros(1, 3, 8, 32, 32)
        >>> [tuple(out.shape) for out in network(slow_frames(fast), fast)]
        [(1, 128, 2, 4, 4), (1, 16, 8, 4, 4)]
    """

    def __init__(self, config: SlowFastConfig = SlowFastConfig()) -> None:
        super().__init__()
        self.config = config
        stages = len(config.depths)
        slow, fast = config.width, config.width // config.ratio
        blocks: list[nn.Module] = [_Pathways(_Stem(3, slow, 1), _Stem(3, fast, 5), _Fusion(fast))]
        inner = (slow, fast)
        channels = (slow + 2 * fast, fast)
        for stage, depth in enumerate(config.depths):
            stride, times = (1 if stage == 0 else 2), (1 if stage < 2 else 3, 3)
            slow_stage, fast_stage = (_stage(channels[i], inner[i], depth, stride, times[i]) for i in (0, 1))
            out = (4 * inner[0], 4 * inner[1])
            last = stage == stages - 1
            blocks.append(_Pathways(slow_stage, fast_stage, None if last else _Fusion(out[1])))
            channels = (out[0] if last else out[0] + 2 * out[1], out[1])
            inner = (2 * inner[0], 2 * inner[1])
        if config.classes is not None:
            blocks += [nn.Identity(), _Classifier(sum(channels), config.classes)]
        self.blocks = nn.ModuleList(blocks)
        self.widths = channels

    @property
    def features(self) -> Sequence[_Pathways]:
        """The stem and the stages."""
        return cast("list[_Pathways]", list(self.blocks)[: len(self.config.depths) + 1])

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of both pathways, each (batch, channels, frames, height/32, width/32).

        Args:
            slow: normalised frames (batch, 3, T, height, width).
            fast: the same video at `ALPHA` times the rate (batch, 3, 4T, height, width).

        Raises:
            ArgumentError: for other tensors.
        """
        check_videos(slow, "slow")
        check_videos(fast, "fast")
        for block in self.features:
            slow, fast = block(slow, fast)
        return slow, fast

    def fast(self, frames: Tensor) -> Tensor:
        """Return the features of the fast pathway alone; it does not depend on the slow one.

        Raises:
            ArgumentError: unless `frames` is (batch, 3, frames, height, width).
        """
        check_videos(frames, "frames")
        for block in self.features:
            frames = block.multipathway_blocks[1](frames)
        return frames

    def logits(self, slow: Tensor, fast: Tensor) -> Tensor:
        """Return the classifier's logits (batch, classes): pooled, projected at each place, averaged."""
        pooled = [nn.functional.avg_pool3d(x, size, 1) for x, size in zip(self(slow, fast), POOL, strict=True)]
        return self.blocks[-1](torch.cat(pooled, 1))


def slow_frames(fast: Tensor) -> Tensor:
    """Return the frames of the slow pathway (batch, 3, T/4, …) from those of the fast one (batch, 3, T, …).

    Raises:
        ArgumentError: for a tensor without frames.
    """
    if fast.ndim < 3 or not fast.shape[2]:
        raise ArgumentError("fast", "a tensor (batch, 3, frames, height, width)", tuple(fast.shape))
    count = fast.shape[2]
    return fast.index_select(2, torch.linspace(0, count - 1, max(1, count // ALPHA), device=fast.device).long())


def pooled_vector(slow: Tensor, fast: Tensor) -> Tensor:
    """Return one vector for each video (batch, channels), pooled as in AIGV-Assessor.

    Both are repeated `ALPHA` times in time, so that the classifier's windows (8 and 32 frames by 7 × 7) fit 2 and 8
    frames, averaged at stride 1 and then over all positions. Above 7 × 7, and for more frames than those, this is not
    the plain mean: positions near the centre belong to more windows.
    """
    vectors = []
    for features, (frames, *window) in zip((slow, fast), POOL, strict=True):
        if features.shape[2] * ALPHA > frames:
            repeated = features.repeat_interleave(ALPHA, 2)
            features = nn.functional.avg_pool3d(repeated, (frames, 1, 1), 1)
        size = [min(side, have) for side, have in zip(window, features.shape[3:], strict=True)]
        vectors.append(nn.functional.avg_pool2d(features.mean(2), size, 1).mean((2, 3)))
    return torch.cat(vectors, 1)


class _Pathways(nn.Module):
    """One block of each pathway, and the lateral connection from the fast to the slow one."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: nn.Module | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        if fusion is not None:
            self.multipathway_fusion = fusion
        self.fused = fusion is not None

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        slow, fast = self.multipathway_blocks[0](slow), self.multipathway_blocks[1](fast)
        return (torch.cat([slow, self.multipathway_fusion(fast)], 1) if self.fused else slow), fast


class _Stem(nn.Module):
    def __init__(self, channels: int, out: int, time: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, out, (time, 7, 7), (1, 2, 2), (time // 2, 3, 3), bias=False)
        self.norm = nn.BatchNorm3d(out)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool3d(self.norm(self.conv(x)).relu(), (1, 3, 3), (1, 2, 2), (0, 1, 1))


class _Fusion(nn.Module):
    """The lateral connection: a convolution in time that brings the fast features to the slow rate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_fast_to_slow = nn.Conv3d(channels, 2 * channels, (7, 1, 1), (ALPHA, 1, 1), (3, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(2 * channels)

    def forward(self, fast: Tensor) -> Tensor:
        return self.norm(self.conv_fast_to_slow(fast)).relu()


def _stage(channels: int, inner: int, depth: int, stride: int, time: int) -> nn.Module:
    first = _ResidualBlock(channels, inner, stride, time)
    stage = nn.Sequential()
    stage.res_blocks = nn.Sequential(first, *(_ResidualBlock(4 * inner, inner, 1, time) for _ in range(depth - 1)))
    return stage


class _ResidualBlock(nn.Module):
    worth_checkpointing = True

    def __init__(self, channels: int, inner: int, stride: int, time: int) -> None:
        super().__init__()
        out = 4 * inner
        self.projected = channels != out or stride != 1
        if self.projected:
            self.branch1_conv = nn.Conv3d(channels, out, 1, (1, stride, stride), bias=False)
            self.branch1_norm = nn.BatchNorm3d(out)
        self.branch2 = _ResidualBranch(channels, inner, out, stride, time)

    def forward(self, x: Tensor) -> Tensor:
        straight = self.branch1_norm(self.branch1_conv(x)) if self.projected else x
        return (straight + self.branch2(x)).relu()


class _ResidualBranch(nn.Module):
    def __init__(self, channels: int, inner: int, out: int, stride: int, time: int) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(channels, inner, (time, 1, 1), padding=(time // 2, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = nn.Conv3d(inner, out, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_a(self.conv_a(x)).relu()
        x = self.norm_b(self.conv_b(x)).relu()
        return self.norm_c(self.conv_c(x))


class _Classifier(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x.movedim(1, -1)).mean((1, 2, 3))


def slowfast_config(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> SlowFastConfig:
    """Return the sizes of the SlowFast whose blocks begin with `prefix`, from their shapes by name.

    A classifier is left out.

    Raises:
        KeyError: for the name of an entry that is not there.
    """
    slow, fast = (shapes[f"{prefix}0.multipathway_blocks.{pathway}.conv.weight"][0] for pathway in (0, 1))
    blocks = rf"{re.escape(prefix)}%s\.multipathway_blocks\.\d+\.res_blocks\.%s\."
    stages = count_numbered(shapes, blocks % (r"(\d+)", r"\d+"))  # the stem is block 0
    depths = tuple(count_numbered(shapes, blocks % (stage, r"(\d+)")) for stage in range(1, stages))
    return SlowFastConfig(depths, slow, slow // fast)
