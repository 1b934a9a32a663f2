"""Sound as the energy of bands over time, and back: what the generator makes, and its vocoder."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

WINDOW = 1024
FLOOR = 1e-5  # power below which there is silence


class BandVocoder(ModelMixin, ConfigMixin):
    """Log band energies (batch, bands, frames) ↔ waveform (batch, 1, samples).

    `encode` measures the energy in `bands` triangular bands, evenly spaced on the mel scale, every `hop` samples, and
    scales its logarithm to about mean 0 and deviation 1. `forward` shapes a fixed noise by them: whatever the sound
    was, the same noise rises and falls in the bands where it did. Differentiable both ways; nothing is learned.
    """

    @register_to_config
    def __init__(self, bands: int = 24, sampling_rate: int = 16000, hop: int = 320) -> None:
        super().__init__()
        shapes = _triangles(bands, sampling_rate)
        self.register_buffer("measure", shapes / shapes.sum(dim=1, keepdim=True), persistent=False)
        self.register_buffer("spread", (shapes / shapes.sum(dim=0).clamp_min(1e-9)).T.contiguous(), persistent=False)
        # ModelMixin asks a model for its type and device by its parameters.
        self.scale = torch.nn.Parameter(torch.tensor([-10.0, 2.2]), requires_grad=False)

    def frames(self, samples: int) -> int:
        """How many frames stand for so many samples."""
        return samples // self.config.hop + 1

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (batch, samples) at the vocoder's rate → energies (batch, bands, frames)."""
        power = self._stft(wave).abs().square() / WINDOW
        return ((self.measure @ power + FLOOR).log() - self.scale[0]) / self.scale[1]

    def forward(self, energies: Tensor, samples: int | None = None) -> Tensor:
        """Energies (batch, bands, frames) → wave (batch, 1, samples), within [−1, 1] softly."""
        samples = samples or (energies.shape[-1] - 1) * self.config.hop
        power = (energies.float() * self.scale[1] + self.scale[0]).clamp(max=6.0).exp() - FLOOR
        gain = (self.spread @ power.clamp_min(0.0) * WINDOW + 1e-12).sqrt()  # (batch, bins, frames)
        spectrum = self._carrier(samples, energies.device) * gain
        wave = torch.istft(spectrum, WINDOW, self.config.hop, window=self._window(energies.device), length=samples)
        return torch.tanh(wave)[:, None]

    def _carrier(self, samples: int, device: torch.device) -> Tensor:
        """Return the spectrum of white noise, of power 1 in each bin on average; the same noise for the same length."""
        noise = torch.randn(1, samples, generator=torch.Generator().manual_seed(0)).to(device)
        return self._stft(noise) / self._window(device).square().sum().sqrt()

    def _stft(self, wave: Tensor) -> Tensor:
        return torch.stft(wave, WINDOW, self.config.hop, window=self._window(wave.device), return_complex=True)

    @staticmethod
    def _window(device: torch.device) -> Tensor:
        return torch.hann_window(WINDOW, device=device)


def _triangles(bands: int, rate: int) -> Tensor:
    """(bands, bins): triangles evenly spaced in mel from 40 Hz to the top."""
    top = 2595 * torch.log10(torch.tensor(1 + rate / 2 / 700))
    low = 2595 * torch.log10(torch.tensor(1 + 40 / 700))
    edges = 700 * (10 ** (torch.linspace(float(low), float(top), bands + 2) / 2595) - 1)
    bins = torch.linspace(0, rate / 2, WINDOW // 2 + 1)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp_min(0.0)
