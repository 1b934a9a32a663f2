"""The network of DOVER: a technical view of fragments and an aesthetic view of whole frames (arXiv:2211.04894)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avreward.raters.encoders.convnext3d import ConvNext3d
from avreward.raters.encoders.swin3d import Swin3d, Swin3dConfig


@dataclass(frozen=True)
class DoverConfig:
    """Sizes of the two branches; the defaults are those of the published checkpoints.

    Args:
        technical: of the Swin3D branch.
        depths, widths: of the ConvNeXt3D branch.
        hidden: channels of the heads.
    """

    technical: Swin3dConfig = field(default_factory=lambda: Swin3dConfig(gated=(True, True, True, False)))
    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    hidden: int = 64

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: dict[str, Any]) -> DoverConfig:
        """Return the configuration that `to_dict` wrote."""
        technical: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in sizes["technical"].items()
        }
        return cls(Swin3dConfig(**technical), tuple(sizes["depths"]), tuple(sizes["widths"]), sizes["hidden"])


class DoverNetwork(nn.Module):
    """Both branches and their heads; names of the weights are those of the published checkpoints."""

    def __init__(self, config: DoverConfig) -> None:
        super().__init__()
        self.config = config
        self.technical_backbone = Swin3d(config.technical)
        self.aesthetic_backbone = ConvNext3d(config.depths, config.widths)
        width = config.technical.width * 2 ** (len(config.technical.depths) - 1)
        self.technical_head = _DoverHead(width, config.hidden)
        self.aesthetic_head = _DoverHead(config.widths[-1], config.hidden)

    def technical(self, clips: Tensor) -> Tensor:
        """Return the raw technical score, a scalar, of the clips (clips, 3, frames, height, width) of one video."""
        return self.technical_head(self.technical_backbone(clips)).mean()

    def aesthetic(self, frames: Tensor) -> Tensor:
        """Return the raw aesthetic score, a scalar, of the frames (1, 3, frames, height, width) of one video."""
        return self.aesthetic_head(self.aesthetic_backbone(frames)).mean()


class _DoverHead(nn.Module):
    """A score at each place of the feature map: two 1 × 1 × 1 convolutions."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc_hid = nn.Conv3d(width, hidden, 1)
        self.fc_last = nn.Conv3d(hidden, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc_last(nn.functional.gelu(self.fc_hid(features)))


def fused(technical: Tensor, aesthetic: Tensor) -> Tensor:
    """Return (technical, aesthetic, overall) in (0, 1) from raw scores, with the published constants.

    >>> fused(torch.tensor(0.1107), torch.tensor(-0.08285))
    tensor([0.5000, 0.5000, 0.5000])
    """
    t = (technical - 0.1107) / 0.07355
    a = (aesthetic + 0.08285) / 0.03774
    return torch.stack([t, a, 0.6104 * t + 0.3896 * a], -1).sigmoid()
