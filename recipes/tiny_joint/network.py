"""The network: which way noisy video and noisy audio must move to fit each other and the prompt."""

from __future__ import annotations

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 4  # pixels, of a patch's side


class JointTransformer(ModelMixin, ConfigMixin):
    """Velocities of flow matching for the video's and the audio's latents.

    Convolutions over patches, frames and the audio's bands; in each block the streams read each other's features, the
    video's averaged over the frame and the audio's over the time of a frame. The time of the flow and the prompt scale
    and shift what is between the convolutions.

    Args:
        classes: prompts that are told apart.
        bands: of the audio.
        width: channels.
        blocks: how many.

    Call it with video (batch, 3, frames, height, width), audio (batch, bands, steps), noise levels in [0, 1] (batch,)
    and classes (batch,).
    """

    @register_to_config
    def __init__(self, classes: int = 3, bands: int = 16, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.clock = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.prompt = nn.Embedding(classes, width)
        self.video_in = nn.Conv2d(3 * PATCH**2, width, 3, padding=1)
        self.audio_in = nn.Conv1d(bands, width, 5, padding=2)
        self.layers = nn.ModuleList(JointBlock(width) for _ in range(blocks))
        self.video_out = nn.Conv2d(width, 3 * PATCH**2, 1)
        self.audio_out = nn.Conv1d(width, bands, 3, padding=1)

    def forward(self, video: Tensor, audio: Tensor, sigma: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the velocities, noise less data, of the shapes of `video` and `audio`."""
        clock = F.silu(self.clock(_waves(sigma).to(video)) + self.prompt(classes))
        frames = video.shape[2]
        patches = F.pixel_unshuffle(video.transpose(1, 2).flatten(0, 1), PATCH)  # (batch · frames, 3 · 16, h, w)
        seen = self.video_in(patches).unflatten(0, (-1, frames))  # (batch, frames, width, h, w)
        heard = self.audio_in(audio)
        for layer in self.layers:
            seen, heard = layer(seen, heard, clock)
        moved = F.pixel_shuffle(self.video_out(F.silu(seen).flatten(0, 1)), PATCH)
        return moved.unflatten(0, (-1, frames)).transpose(1, 2), self.audio_out(F.silu(heard))


class JointBlock(nn.Module):
    """A residual step of both streams."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.video_norm, self.audio_norm = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.modulation = nn.Linear(width, 4 * width)
        self.space = nn.Conv2d(width, width, 3, padding=1)
        self.time = nn.Conv1d(width, width, 3, padding=1)
        self.first, self.second = nn.Conv1d(width, width, 5, padding=2), nn.Conv1d(width, width, 5, padding=2)
        self.from_video, self.from_audio = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.time.weight)
        nn.init.zeros_(self.second.weight)

    def forward(self, seen: Tensor, heard: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, width, h, w) and (batch, width, steps) in and out."""
        rows, frames, width, high, wide = seen.shape
        scale, shift, louder, offset = self.modulation(clock).chunk(4, dim=1)
        told = self.from_video(seen.mean((3, 4))).transpose(1, 2)  # (batch, width, frames)
        asked = self.from_audio(F.adaptive_avg_pool1d(heard, frames).transpose(1, 2))  # (batch, frames, width)
        own = self.video_norm((seen + asked[..., None, None]).flatten(0, 1)).unflatten(0, (rows, frames))
        own = own * (1 + scale[:, None, :, None, None]) + shift[:, None, :, None, None]
        own = self.space(F.silu(own).flatten(0, 1)).unflatten(0, (rows, frames))
        own = self.time(F.silu(own).permute(0, 3, 4, 2, 1).reshape(-1, width, frames))
        own = own.reshape(rows, high, wide, width, frames).permute(0, 4, 3, 1, 2)
        sound = self.audio_norm(heard + F.interpolate(told, size=heard.shape[-1], mode="linear"))
        sound = self.first(F.silu(sound * (1 + louder[..., None]) + offset[..., None]))
        return seen + own, heard + self.second(F.silu(sound))


def _waves(time: Tensor) -> Tensor:
    """(batch,) in [0, 1] → (batch, 32) sines and cosines."""
    angles = time.float()[:, None] * torch.exp(torch.linspace(0, math.log(200), 16, device=time.device)) * 2
    return torch.cat([angles.sin(), angles.cos()], dim=1)
