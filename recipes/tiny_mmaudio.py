"""A tiny video-to-audio model by flow matching with random weights, with the parts and the calls of MMAudio.

MMAudio (Cheng et al., CVPR 2025, arXiv:2412.15322) sees a video twice: a few frames a second for what is in it, 25 a
second for when something happens. Its network takes both with text features, and its time goes from noise at 0 to
latents of a spectrogram at 1. What this one makes shows nothing; it stands in for the published one in docs and tests.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEXT, FRAME, SYNC, LATENT, MEL = 6, 10, 8, 5, 12  # widths of features and latents
WORDS = 4
RATE, CLIP_FPS, SYNC_FPS = 4000, 8, 25


class TinyFlowNetwork(nn.Module):
    """Predicts latents less noise, from noisy latents (rows, positions, `LATENT`) and features of video and text."""

    def __init__(self, seconds: float, width: int = 16) -> None:
        super().__init__()
        self.latent_seq_len, self.latent_dim = round(16 * seconds), LATENT
        self.clip_seq_len, self.sync_seq_len = round(CLIP_FPS * seconds), round(SYNC_FPS * seconds)
        self.audio_proj, self.sync_proj = nn.Linear(LATENT, width), nn.Linear(SYNC, width)
        self.clip_proj, self.text_proj = nn.Linear(FRAME, width), nn.Linear(TEXT, width)
        self.time = nn.Linear(2, width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.hidden, self.final = nn.Linear(width, 2 * width), nn.Linear(2 * width, LATENT)
        self.latent_mean = nn.Parameter(torch.full((1, 1, LATENT), 0.3), requires_grad=False)
        self.latent_std = nn.Parameter(torch.full((1, 1, LATENT), 1.5), requires_grad=False)
        self.empty_clip, self.empty_sync = nn.Parameter(torch.zeros(FRAME)), nn.Parameter(torch.zeros(SYNC))
        self.empty_text = nn.Parameter(torch.zeros(WORDS, TEXT))

    def forward(self, latent: Tensor, clip_f: Tensor, sync_f: Tensor, text_f: Tensor, t: Tensor) -> Tensor:
        """Return the flow (rows, positions, `LATENT`) at times (rows,)."""
        seen = torch.cat([self.clip_proj(clip_f), self.text_proj(text_f)], 1)
        sync = F.interpolate(self.sync_proj(sync_f).transpose(1, 2), size=latent.shape[1], mode="nearest-exact")
        time = self.time(torch.stack([t, torch.sin(6.28 * t)], 1))[:, None]
        x = self.audio_proj(latent) + sync.transpose(1, 2) + time
        x = x + self.attention(x, torch.cat([x, seen], 1), torch.cat([x, seen], 1), need_weights=False)[0]
        return self.final(F.gelu(self.hidden(x)))

    def get_empty_clip_sequence(self, rows: int) -> Tensor:
        """Return what stands for the frames where there is no video."""
        return self.empty_clip.expand(rows, self.clip_seq_len, -1)

    def get_empty_sync_sequence(self, rows: int) -> Tensor:
        """Return what stands for the frames that tell when something happens."""
        return self.empty_sync.expand(rows, self.sync_seq_len, -1)

    def get_empty_string_sequence(self, rows: int) -> Tensor:
        """Return the features of an empty prompt."""
        return self.empty_text.expand(rows, -1, -1)


class TinyFeatures(nn.Module):
    """Features of video and text, and the way from latents to a waveform."""

    def __init__(self) -> None:
        super().__init__()
        self.frames, self.motion = nn.Linear(3 * 16, FRAME), nn.Linear(3 * 16, SYNC)
        self.autoencoder = nn.Linear(LATENT, MEL)
        self.vocoder = nn.ConvTranspose1d(MEL, 1, kernel_size=RATE // 16, stride=RATE // 16)

    def encode_video_with_clip(self, video: Tensor) -> Tensor:
        """Return (rows, frames, `FRAME`) of frames (rows, frames, 3, height, width) in [0, 1]."""
        return self.frames(F.adaptive_avg_pool2d(video.flatten(0, 1), 4).flatten(1)).unflatten(0, video.shape[:2])

    def encode_video_with_sync(self, video: Tensor) -> Tensor:
        """Return (rows, frames, `SYNC`) of frames (rows, frames, 3, height, width) in [-1, 1]."""
        moved = torch.diff(video, dim=1, prepend=video[:, :1])
        return self.motion(F.adaptive_avg_pool2d(moved.flatten(0, 1), 4).flatten(1)).unflatten(0, video.shape[:2])

    def encode_text(self, texts: list[str]) -> Tensor:
        """Return (rows, `WORDS`, `TEXT`): a random feature for each word."""
        rows = [[*text.split(), *[""] * WORDS][:WORDS] for text in texts]
        draws = [[torch.Generator().manual_seed(zlib.crc32(word.encode())) for word in row] for row in rows]
        return torch.stack([torch.stack([torch.randn(TEXT, generator=draw) for draw in row]) for row in draws])

    def decode(self, latents: Tensor) -> Tensor:
        """Return the spectrogram (rows, `MEL`, positions) of latents (rows, positions, `LATENT`)."""
        return self.autoencoder(latents).transpose(1, 2)

    def vocode(self, spectrogram: Tensor) -> Tensor:
        """Return the waveform (rows, 1, samples)."""
        return torch.tanh(self.vocoder(spectrogram))


@dataclass(frozen=True)
class TinyMMAudio:
    """The model: its network, and its features.

    Args:
        net: makes latents.
        features: of video and text, with the decoder.
    """

    net: TinyFlowNetwork
    features: TinyFeatures

    def generate(self, clip: Tensor, sync: Tensor, text: str, x: Tensor, steps: int, cfg: float) -> Tensor:
        """Return the waveforms (rows, 1, samples) from noise `x`, by the model's own Euler steps.

        >>> model = tiny_mmaudio()
        >>> frames, motion, noise = torch.rand(1, 8, 3, 24, 24), torch.rand(1, 25, 3, 16, 16), torch.randn(1, 16, 5)
        >>> model.generate(frames, 2 * motion - 1, "rain", noise, steps=2, cfg=4.5).shape
        torch.Size([1, 1, 4000])
        """
        net, own, rows = self.net, self.features, len(x)
        given = own.encode_video_with_clip(clip), own.encode_video_with_sync(sync), own.encode_text([text])
        given = tuple(one.expand(rows, -1, -1) for one in given)
        empty = (
            net.get_empty_clip_sequence(rows),
            net.get_empty_sync_sequence(rows),
            net.get_empty_string_sequence(rows),
        )
        for step in range(steps):
            t = torch.full((rows,), step / steps)
            x = x + (cfg * net(x, *given, t) + (1 - cfg) * net(x, *empty, t)) / steps
        return own.vocode(own.decode(x * net.latent_std + net.latent_mean))


def tiny_mmaudio(seconds: float = 1.0, seed: int = 0) -> TinyMMAudio:
    """Return a model for clips of so many seconds, frozen, in evaluation mode; audio at 4 kHz."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = TinyMMAudio(TinyFlowNetwork(seconds), TinyFeatures())
        for part in (model.net.empty_clip, model.net.empty_sync, model.net.empty_text):
            part.data.normal_(std=0.5)
    for module in (model.net, model.features):
        module.eval().requires_grad_(False)
    return model
