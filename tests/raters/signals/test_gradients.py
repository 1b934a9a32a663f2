"""Gradients of every measurement and dimension against finite differences, at odd sizes and on degenerate clips."""

import pytest
import torch

from avreward.clip import Clip
from avreward.raters.signals._measurement import MEASUREMENTS, NEEDS
from avreward.raters.signals.rater import SignalsRater

RATE, FPS, STEP = 8000, 12, 1e-6
RATER = SignalsRater()


def generic():
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(13, 3, 37, 51, generator=generator, dtype=torch.float64).cumsum(0) / 13
    audio = torch.randn(2, 9001, generator=generator, dtype=torch.float64)
    return torch.nn.functional.avg_pool2d(video, 5, 1, 2), 0.1 * audio * torch.linspace(0, 1, 9001).sin().abs()


VIDEO, AUDIO = generic()
CLIPS = {
    "odd sizes": (VIDEO, AUDIO),
    "black and silent": (torch.zeros_like(VIDEO), torch.zeros_like(AUDIO)),
    "one grey and a constant": (torch.full_like(VIDEO, 0.5), torch.full_like(AUDIO, 0.3)),
    "white and full scale": (torch.ones_like(VIDEO), torch.ones_like(AUDIO)),
    "overshoot": (VIDEO * 1.3 - 0.15, AUDIO * 8),
    # not all equal: which of equal samples are the largest changes with any step, and with it the slope
    "two levels and clipped": (VIDEO.round(), AUDIO.clamp(-0.05, 0.05) + 0.1 * AUDIO),
    "one picture held": (VIDEO[:1].expand(13, -1, -1, -1).clone(), AUDIO),
    "tiny": (VIDEO[:4, :, :5, :7].contiguous(), AUDIO[:1, :5500]),
}


def scores(video, audio):
    return RATER([Clip(video=video, fps=FPS, audio=audio, sample_rate=RATE)])


@pytest.mark.parametrize("name", CLIPS)
def test_every_score_agrees_with_finite_differences(name):
    video, audio = CLIPS[name]
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in (video, audio)]
    directions[1] *= 0.3
    up, down = (scores(video + s * directions[0], audio + s * directions[1]) for s in (STEP, -STEP))
    leaves = video.clone().requires_grad_(), audio.clone().requires_grad_()
    here = scores(*leaves)
    assert bool(here.present.all()) or name == "tiny"
    for column in here.present[0].nonzero()[:, 0].tolist():
        gradients = torch.autograd.grad(here.values[0, column], leaves, allow_unused=True, retain_graph=True)
        assert all(g is None or bool(torch.isfinite(g).all()) for g in gradients), here.names[column]
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
        measured = float(up.values[0, column] - down.values[0, column]) / (2 * STEP)
        assert slope == pytest.approx(measured, rel=3e-3, abs=2e-3), here.names[column]


def test_equal_samples_have_a_finite_gradient():
    audio = AUDIO.clamp(-0.05, 0.05).requires_grad_()
    scores(VIDEO, audio)["audio_quality"].sum().backward()
    assert bool(torch.isfinite(audio.grad).all())
    assert float(audio.grad.abs().max()) > 0


@pytest.mark.parametrize("dimension", RATER.dimensions, ids=lambda d: d.name)
def test_the_backward_pass_reaches_what_the_dimension_needs(dimension):
    video, audio = VIDEO.clone().requires_grad_(), AUDIO.clone().requires_grad_()
    if dimension.name == "dropped_frames":
        pytest.skip("counts time stamps, which are no tensor of values: its gradient is 0 by definition")
    (RATER[dimension.name]([Clip(video=video, fps=FPS, audio=audio, sample_rate=RATE)])).sum().backward()
    needs = dimension.needs or {"video", "audio"}  # overall: of all that it is made of
    for track, leaf in (("video", video), ("audio", audio)):
        reached = leaf.grad is not None and bool((leaf.grad != 0).any())
        assert reached == (track in needs), (dimension.name, track)


def test_the_gradient_of_every_frame_and_sample_counts():
    """No part of the clip is out of reach of `overall`."""
    video, audio = VIDEO.clone().requires_grad_(), AUDIO.clone().requires_grad_()
    RATER["overall"]([Clip(video=video, fps=FPS, audio=audio, sample_rate=RATE)]).sum().backward()
    assert bool((video.grad.abs().amax((1, 2, 3)) > 0).all())
    assert (audio.grad != 0).double().mean() > 0.98


def test_measurements_declare_what_they_need():
    for measurement in MEASUREMENTS:
        assert RATER.dimension(f"signals.{measurement.name}").needs == NEEDS[measurement.view]
