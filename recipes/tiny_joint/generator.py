"""The generator as the training loops see it: a `FlowGenerator` of video and audio for a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tiny_v2a.codec import BandVocoder
from torch import Tensor

from avreward import Clip
from avreward.generators import Condition, Noise
from tiny_joint.network import JointTransformer
from tiny_joint.scenes import COLOURS, FPS, FRAMES, RATE, SIDE

WEIGHTS = Path(__file__).parent / "weights"
OFFSET = 0.6  # mean of the band energies
LORA = r"layers\.\d+\.(space|time|first|second|modulation)|(video|audio)_out"
"""Layers for the LoRA: all but the first ones and those that carry features from stream to stream."""


class TinyJoint:
    """Video and audio of ``condition.arguments["prompt"]``, which names a colour.

    Args:
        network: the velocity of both streams.
    """

    streams = ("video", "audio")

    def __init__(self, network: JointTransformer) -> None:
        self.network, self.vocoder = network, BandVocoder(bands=network.config.bands, sampling_rate=RATE)

    def encode(self, condition: Condition) -> tuple[str, int]:
        """Return the prompt and its class."""
        prompt = condition.arguments["prompt"]
        found = [number for number, colour in enumerate(COLOURS) if colour in prompt.split()]
        if len(found) != 1:
            raise ValueError(f"prompt: expected one of {', '.join(COLOURS)} in it, got {prompt!r}; name one colour")
        return prompt, found[0]

    def start(self, encoded: tuple[str, int], noises: Sequence[Noise]) -> dict[str, Tensor]:
        """Draw the video's noise, then the audio's."""
        rows = []
        for noise in noises:
            stream = noise.stream()
            rows.append((stream.randn(3, FRAMES, SIDE, SIDE), stream.randn(*self.audio_shape)))
        video, audio = zip(*rows, strict=True)
        return {"video": torch.stack(video), "audio": torch.stack(audio)}

    @property
    def audio_shape(self) -> tuple[int, int]:
        """Bands and time steps of the audio's latents."""
        return self.network.config.bands, self.vocoder.frames(round(FRAMES / FPS * RATE))

    def sigmas(self, steps: int, encoded: object) -> list[float]:
        """Return evenly spaced noise levels."""
        return [1 - step / steps for step in range(steps + 1)]

    def velocity(self, latents: dict[str, Tensor], sigma: Tensor, encoded: tuple[str, int]) -> dict[str, Tensor]:
        """Return noise less data."""
        classes = torch.full((len(sigma),), encoded[1])
        video, audio = self.network(latents["video"], latents["audio"], sigma, classes)
        return {"video": video, "audio": audio}

    def latents(self, video: Tensor, audio: Tensor) -> dict[str, Tensor]:
        """Encode video (frames, 3, side, side) and audio (samples,) of one clip, without the batch's dimension."""
        pixels = (video.clamp(0.03, 0.97).logit() + 1.7) / 0.6
        return {"video": pixels.transpose(0, 1), "audio": self.vocoder.encode(audio[None])[0] - OFFSET}

    def encode_clip(self, clip: Clip, encoded: object) -> dict[str, Tensor]:
        """Return the latents of a clip of the generator's own size, one row."""
        wave = clip.sound(RATE, 1)[0, : round(FRAMES / FPS * RATE)]
        return {name: rows[None] for name, rows in self.latents(clip.video, wave).items()}

    def decode(self, latents: dict[str, Tensor], encoded: tuple[str, int]) -> list[Clip]:
        """Return a clip of each row, with gradients."""
        pixels = (0.6 * latents["video"] - 1.7).sigmoid().transpose(1, 2)
        waves = self.vocoder(latents["audio"] + OFFSET, round(FRAMES / FPS * RATE))
        made = {"fps": FPS, "sample_rate": RATE, "prompt": encoded[0]}
        return [Clip(video=video, audio=wave, **made) for video, wave in zip(pixels, waves, strict=True)]


def random_joint(seed: int = 0, **sizes: int) -> TinyJoint:
    """Return a generator with random weights, to be trained; `sizes` are `JointTransformer`'s."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyJoint(JointTransformer(classes=len(COLOURS), **sizes))


def tiny_joint(folder: str | Path = WEIGHTS) -> TinyJoint:
    """Return the trained generator in `folder`: by default the one beside this file, made by `tiny_joint/train.py`.

    Raises:
        FileNotFoundError: if there is none.
    """
    if not (Path(folder) / "config.json").is_file():
        raise FileNotFoundError(
            f"folder: expected a trained generator, got {folder}; run python recipes/tiny_joint/train.py {folder} first"
        )
    return TinyJoint(JointTransformer.from_pretrained(folder).float().eval().requires_grad_(False))
