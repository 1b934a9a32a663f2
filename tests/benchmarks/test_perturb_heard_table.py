"""The benchmark of audible defects: what it measures follows what is done, and refusals are counted."""

from __future__ import annotations

import perturb_heard
import pytest
import torch

from avreward import Clip
from avreward.datasets import ALL_PERTURBATIONS

RATE = 8000


def hiss(level: float, seed: int = 0) -> Clip:
    sound = torch.randn(1, RATE, generator=torch.Generator().manual_seed(seed))
    return Clip(audio=level * sound, sample_rate=RATE)


def test_level_spectrum_and_cells_follow_what_is_done() -> None:
    same = perturb_heard.change(hiss(0.1), hiss(0.1))
    assert same == (0.0, 0.0, 0.0)
    level, spectrum, cells = perturb_heard.change(hiss(0.1), hiss(0.05))
    assert level == pytest.approx(-6.02, abs=0.01)
    assert 5.0 < spectrum <= 6.03  # bands too narrow to hold a frequency count as 0
    assert cells > 0.99


def test_refusals_are_counted() -> None:
    clips = [hiss(0.1, seed) for seed in range(3)]
    found, refused = perturb_heard.changes(ALL_PERTURBATIONS["background"], clips, 40.0)
    assert not found
    assert list(refused.values()) == [3]
    assert perturb_heard.row("background", "40 dB", found, 3) == "| `background` | 40 dB | 0 of 3 | – | – | – |"
    found, refused = perturb_heard.changes(ALL_PERTURBATIONS["lowpass"], clips, 1000.0)
    assert len(found) == 3
    assert not refused
    assert "3 of 3" in perturb_heard.row("lowpass", "1000 Hz", found, 3)
