"""Features of a pretrained encoder of sound effects, from the weights in an installed package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward.clip import Clip
from avreward.raters.base import Track
from avreward.raters.listener._installed import InstalledEncoder, WheelWeights

WEIGHTS = WheelWeights("aisfx", "aisfx", "aisfx==0.1.2", "models/checkpoint.pth")
RATE, WINDOW, HOP, BANDS = 44100, 2048, 1024, 96
BLOCK, STEP = 100, 50  # frames
TOP = 9.457798957824707  # of the logarithm over the sounds that it was trained on
WIDTH = 512


class SoundEffectsMel(nn.Module):
    """Logarithmic mel spectrogram of (samples,) at 44.1 kHz as float (frames, 96), about 0 to 1.

    Bands are triangles on the HTK mel scale from 0 to 22.05 kHz, each of unit sum, of the power in Hann windows of 2048
    samples every 1024; ``log10(1 + 10⁴·S)`` is divided by the largest value of the training data.
    """

    bands: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        top = 2595 * torch.log10(torch.tensor(1 + RATE / 2 / 700, dtype=torch.float64))
        edges = torch.linspace(0, float(top), BANDS + 2, dtype=torch.float64)
        bins = 2595 * torch.log10(1 + torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64) / 700)
        rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
        bands = torch.minimum(rising, falling).clamp_min(0)
        self.register_buffer("bands", (bands / bands.sum(0)).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Return the spectrogram of one sound."""
        padded = F.pad(wave, (WINDOW // 2, WINDOW // 2))
        spectrum = torch.stft(
            padded, WINDOW, HOP, window=self.window.to(wave), center=False, return_complex=True
        )  # (bins, frames)
        power = spectrum.real.square() + spectrum.imag.square()
        return (1 + 1e4 * (power.T @ self.bands.to(power))).log10() / TOP


class _SoundBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


class SoundEffectsNetwork(nn.Module):
    """Eight convolutional layers: blocks (n, frames, bands) → (n, 512)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.conv_block1 = _SoundBlock(1, width // 8)
        self.conv_block2 = _SoundBlock(width // 8, width // 4)
        self.conv_block3 = _SoundBlock(width // 4, width // 2)
        self.conv_block4 = _SoundBlock(width // 2, width)

    def forward(self, blocks: Tensor) -> Tensor:
        """Return a vector a block."""
        x = blocks[:, None]
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        return self.conv_block4(x).mean(3).amax(2)


class SoundEffectsRater(InstalledEncoder):
    """The features of aiSFX's encoder as detail dimensions: mean over blocks of 2.3 s, half overlapping.

    Source: Ma & Lerch, Representation Learning for the Automatic Indexing of Sound Effects Libraries, ISMIR 2022; the
    weights (CC BY 4.0) are read from the installed package ``aisfx``, which must be installed without its dependencies.
    Gradients reach the waveform. A shorter sound is padded with zeros, as in the original.

    Args:
        network: with the weights; put into evaluation mode and frozen.

    Example:
        >>> rater = SoundEffectsRater(SoundEffectsNetwork(16))
        >>> rater([Clip(audio=torch.rand(1, 44100) - 0.5, sample_rate=44100)]).values.shape
        torch.Size([1, 16])
    """

    weights = WEIGHTS
    track: ClassVar[Track] = "audio"

    def __init__(self, network: SoundEffectsNetwork) -> None:
        super().__init__(network, network.conv_block4.conv2.out_channels)
        self.mel = SoundEffectsMel()

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        """Return the sound, float (samples,), mono at 44.1 kHz."""
        return clip.sound(RATE, 1)[0].float()

    def embed(self, loaded: Tensor) -> Tensor:
        """Return the features of a sound (samples,), mono at 44.1 kHz."""
        mel = self.mel(loaded)
        blocks = max(1, (len(mel) - BLOCK) // STEP + 1)
        mel = F.pad(mel, (0, 0, 0, max(0, BLOCK - len(mel))))
        cut = torch.stack([mel[i * STEP : i * STEP + BLOCK] for i in range(blocks)])
        found: Tensor = self.network(cut.to(next(self.network.parameters()))).mean(0)
        return found


def installed_sound_effects() -> SoundEffectsRater:
    """Return the encoder with the weights of the installed package ``aisfx``; none of its code runs.

    Raises:
        AvrewardError: if the package is not installed, or its weights are of another kind.
    """
    network = SoundEffectsNetwork()
    WEIGHTS.into(network, _weights)
    return SoundEffectsRater(network)


def _weights(path: Path) -> Mapping[str, Tensor]:
    """Return the encoder's tensors, under our names; nothing but tensors and numbers is unpickled."""
    import numpy as np
    from numpy._core import multiarray  # where numpy keeps what pickles name

    number = type(np.dtype(np.float64))
    scalar = (multiarray.scalar, "numpy.core.multiarray.scalar")  # as pickled by numpy 1
    with torch.serialization.safe_globals([scalar, np.dtype, number, type(np.dtype(np.int64))]):
        state, _ = torch.load(path, map_location="cpu", weights_only=True)
    prefix = "embedding_net."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
