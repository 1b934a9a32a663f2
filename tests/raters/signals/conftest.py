import pytest
import torch

from avreward.raters.signals.picture import Frames, Motion
from avreward.raters.signals.sound import Sound


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def strikes():
    """Four seconds of decaying tones at irregular times, 16 kHz: (wave (1, samples), times)."""
    rate, times = 16_000, (0.31, 0.92, 1.25, 2.04, 2.61, 3.3)
    t = torch.arange(4 * rate, dtype=torch.float64) / rate
    wave = 1e-4 * noise(4 * rate)
    for k, start in enumerate(times):
        late = (t - start).clamp(min=0)
        wave = wave + 0.4 * (t >= start) * torch.exp(-late / 0.06) * torch.sin(2 * torch.pi * (600 + 170 * k) * late)
    return wave[None], times


def sound(wave, rate=16_000, start=0.0):
    return Sound(torch.atleast_2d(wave), rate, start)


def motion(luma, fps=25.0, times=None):
    return Motion(luma, torch.arange(len(luma), dtype=torch.float64) / fps if times is None else times)


def frames(luma):
    """Single grey frames (n, h, w), as detail and as colour."""
    return Frames(luma, luma.unsqueeze(1).expand(-1, 3, -1, -1))
