"""The pipeline as the training loops see it: a `FlowGenerator` of audio for a silent video.

What a real video-to-audio model by flow matching needs is the same: features of the video once, velocity of the audio's
latents, their decoder. Replace the five methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward import Clip
from avreward.generators import Condition, Noise
from tiny_v2a.pipeline import TinyV2APipeline


@dataclass(frozen=True)
class Watched:
    """What the steps need of a video: the video itself, the network's features of it, and the length of its audio."""

    clip: Clip
    features: Tensor
    samples: int


class V2AGenerator:
    """Audio for ``condition.clip``, a silent video.

    Args:
        pipe: the pipeline; its transformer is what is trained.
    """

    streams = ("audio",)

    def __init__(self, pipe: TinyV2APipeline) -> None:
        self.pipe, self.network = pipe, pipe.transformer

    def encode(self, condition: Condition) -> Watched:
        """Return features of the video; the part of the network that watches it stays frozen."""
        clip: Clip = condition.clip
        samples = round(len(clip.video) / clip.fps * self.pipe.vocoder.config.sampling_rate)
        with torch.no_grad():
            return Watched(clip, self.pipe.watched(clip.video, clip.fps, samples), samples)

    def start(self, encoded: Watched, noises: Sequence[Noise]) -> dict[str, Tensor]:
        """Draw noise as loud as band energies are."""
        shape = (1, self.network.config.bands, encoded.features.shape[-1])
        return {"audio": torch.cat([noise.stream().randn(*shape) for noise in noises]).to(encoded.features)}

    def sigmas(self, steps: int, encoded: Watched) -> list[float]:
        """Return those of the scheduler."""
        self.pipe.scheduler.set_timesteps(steps)
        return [float(sigma) for sigma in self.pipe.scheduler.sigmas]

    def velocity(self, latents: dict[str, Tensor], sigma: Tensor, encoded: Watched) -> dict[str, Tensor]:
        """Return noise less energies."""
        return {"audio": self.network(latents["audio"], 1000 * sigma, encoded.features)}

    def encode_clip(self, clip: Clip, encoded: Watched) -> dict[str, Tensor]:
        """Return the band energies of a clip's audio, which must be as long as the video."""
        wave = clip.sound(self.pipe.vocoder.config.sampling_rate, 1)[:, : encoded.samples]
        return {"audio": self.pipe.vocoder.encode(wave).to(encoded.features)}

    def decode(self, latents: dict[str, Tensor], encoded: Watched) -> list[Clip]:
        """Return the video with each audio."""
        waves = self.pipe.vocoder(latents["audio"], encoded.samples)
        rate = self.pipe.vocoder.config.sampling_rate
        return [encoded.clip.with_audio(wave, rate) for wave in waves]
