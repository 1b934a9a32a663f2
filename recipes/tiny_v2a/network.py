"""The network: which way a noisy sound must move to fit a video."""

from __future__ import annotations

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 16  # what the network sees of a frame is this many pixels square


def seen(video: Tensor) -> Tensor:
    """Frames (frames, 3, height, width) in [0, 1] → what the network sees: (frames, 2, 16, 16).

    Brightness, and how much it changed since the frame before, both pooled. Differentiable.
    """
    luma = (video.float() * video.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32)[:, None, None]).sum(1)
    change = torch.cat([torch.zeros_like(luma[:1]), (luma[1:] - luma[:-1]).abs()])
    pooled = [F.adaptive_avg_pool2d(picture[:, None], SIDE) for picture in (luma, 8 * change)]
    return torch.cat(pooled, dim=1)


class V2ATransformer(ModelMixin, ConfigMixin):
    """Velocity of flow matching for band energies, given the video: convolutions in time with growing reach.

    Args:
        bands: of the sound.
        width: channels.
        blocks: residual blocks; their dilations are 1, 2, 4, 8, 1, 2, …

    Call it with noisy energies (batch, bands, frames), times in [0, 1000] (batch,), and features of the video
    (batch, width, frames) from `watch`; zeros instead of features mean "no video" (for guidance).
    """

    @register_to_config
    def __init__(self, bands: int = 24, width: int = 64, blocks: int = 8) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            nn.Conv2d(2, 16, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.SiLU(),
            nn.Flatten(), nn.Linear(32 * 16, width),
        )  # fmt: skip
        self.clock = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.opening = nn.Conv1d(bands + width, width, 3, padding=1)
        self.layers = nn.ModuleList(Block(width, 2 ** (i % 4)) for i in range(blocks))
        self.closing = nn.Sequential(nn.SiLU(), nn.Conv1d(width, bands, 3, padding=1))

    def watch(self, video: Tensor, times: Tensor, at: Tensor) -> Tensor:
        """Features (1, width, k) at the moments `at` (k,) in seconds of a `video` as `seen`, with its frames' `times`.

        Each moment takes the last frame that is shown by then.
        """
        features = self.eye(video)
        index = (torch.searchsorted(times, at + 1e-4, right=True) - 1).clamp(0, len(times) - 1)
        return features[index].T[None]

    def forward(self, sample: Tensor, timestep: Tensor, video: Tensor) -> Tensor:
        """Return the velocity, noise less sound, of the shape of `sample`."""
        clock = self.clock(_waves(timestep / 1000).to(sample))
        hidden = self.opening(torch.cat([sample, video.expand(len(sample), -1, -1)], dim=1))
        for block in self.layers:
            hidden = block(hidden, clock)
        return self.closing(hidden)


class Block(nn.Module):
    """Two convolutions around a residual; the time of the flow shifts and scales what is between them."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.modulation = nn.Linear(width, 2 * width)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, hidden: Tensor, clock: Tensor) -> Tensor:
        """(batch, width, frames) in and out."""
        scale, shift = self.modulation(clock)[..., None].chunk(2, dim=1)
        return hidden + self.second(F.silu(self.first(F.silu(self.norm(hidden))) * (1 + scale) + shift))


def _waves(time: Tensor) -> Tensor:
    """(batch,) in [0, 1] → (batch, 32) sines and cosines."""
    angles = time.float()[:, None] * torch.exp(torch.linspace(0, math.log(200), 16, device=time.device)) * 2
    return torch.cat([angles.sin(), angles.cos()], dim=1)
