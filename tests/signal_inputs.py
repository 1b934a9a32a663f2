"""Inputs of the measurements: seeded noise, sound, motion and frames as they look at them."""

import torch

from avreward.raters.signals._audio import AudioWindow
from avreward.raters.signals._texture import Frames
from avreward.raters.signals._video import Motion


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sound(wave, rate=16_000, start=0.0):
    return AudioWindow(torch.atleast_2d(wave), rate, start)


def motion(luma, fps=25.0, times=None):
    return Motion(luma, torch.arange(len(luma), dtype=torch.float64) / fps if times is None else times)


def frames(luma):
    """Single grey frames (n, h, w), as detail and as colour."""
    return Frames(luma, luma.unsqueeze(1).expand(-1, 3, -1, -1))
