import pytest
import torch
from signal_inputs import noise


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
