"""A joint generator of video and audio, small enough for finite differences: a linear network on both streams."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avreward import Clip
from avreward.generators import Condition, Noise

FRAMES, SIDE, SAMPLES = 2, 4, 800


class JointNetwork(nn.Module):
    """Velocity of two streams, each of which sees both; `hidden` is where a LoRA goes."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.hidden = nn.Linear(3 + 2 + 1, width)
        self.video, self.audio = nn.Linear(width, 3), nn.Linear(width, 2)

    def forward(self, video: Tensor, audio: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.tanh(self.hidden(torch.cat([video, audio, sigma[:, None]], 1)))
        return video + self.video(hidden), audio + self.audio(hidden)


class JointGenerator:
    """Video of one colour and audio of two samples' loudness; the condition's number is added to both."""

    streams = ("video", "audio")

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = JointNetwork().to(dtype)

    def encode(self, condition: Condition) -> float:
        return float(condition.arguments.get("shift", 0.0))

    def start(self, encoded: float, noises: Sequence[Noise]) -> dict[str, Tensor]:
        draws = [noise.stream() for noise in noises]
        dtype = self.network.hidden.weight.dtype
        return {
            "video": torch.stack([draw.randn(3, dtype=dtype) for draw in draws]),
            "audio": torch.stack([draw.randn(2, dtype=dtype) for draw in draws]),
        }

    def sigmas(self, steps: int, encoded: float) -> list[float]:
        return [1 - i / steps for i in range(steps + 1)]

    def velocity(self, latents: dict[str, Tensor], sigma: Tensor, encoded: float) -> dict[str, Tensor]:
        video, audio = self.network(latents["video"] + encoded, latents["audio"] + encoded, sigma)
        return {"video": video, "audio": audio}

    def decode(self, latents: dict[str, Tensor], encoded: float) -> list[Clip]:
        colours = torch.sigmoid(latents["video"])[:, None, :, None, None].expand(-1, FRAMES, 3, SIDE, SIDE)
        waves = torch.tanh(latents["audio"]).repeat_interleave(SAMPLES // 2, 1)[:, None]
        return [Clip(video=v, fps=4.0, audio=a, sample_rate=1600) for v, a in zip(colours, waves, strict=True)]

    def encode_clip(self, clip: Clip, encoded: float) -> dict[str, Tensor]:
        colours = clip.video.mean((0, 2, 3)).clamp(0.01, 0.99)
        waves = torch.stack([half.mean() for half in clip.audio[0].tensor_split(2)])
        return {"video": torch.logit(colours)[None], "audio": torch.atanh(waves)[None]}
