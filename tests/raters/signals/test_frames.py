import pytest
import torch
from signal_inputs import frames, noise
from torch.nn.functional import avg_pool2d

from avreward.raters.signals import _frames as detail
from avreward.raters.signals._gates import hard, soft
from avreward.raters.signals._texture import Frames


def pattern(height=120, width=161):
    """Slanted stripes with hard edges, a little softened (2, h, w)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    stripes = ((x + 0.3 * y) % 31 < 15).double() * 0.6 + 0.2
    return torch.stack([stripes, stripes.flip(0)])


def blurred(luma, sigma):
    radius = 8
    x = torch.arange(-radius, radius + 1, dtype=luma.dtype)
    kernel = torch.exp(-x.square() / 2 / sigma**2)
    kernel = kernel / kernel.sum()
    padded = torch.nn.functional.pad(luma[:, None], (radius,) * 4, mode="replicate")
    return torch.nn.functional.conv2d(
        torch.nn.functional.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None]
    )[:, 0]


def test_sharpness_falls_with_blur_and_hardly_moves_with_noise():
    at = [float(detail.sharpness(frames(blurred(pattern(), s)), soft)) for s in (0.6, 1.2, 2.4, 4.8)]
    assert at == sorted(at, reverse=True)
    assert at[0] > at[3] + 2.5
    noisy = blurred(pattern(), 2.4) + noise(2, 120, 161) * 5 / 255
    assert float(detail.sharpness(frames(noisy), soft)) == pytest.approx(at[2], abs=0.3)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_noise_is_its_standard_deviation_in_levels(sigma):
    grey = 0.5 + noise(3, 130, 170) * sigma / 255
    assert float(detail.noise(frames(grey), soft)) == pytest.approx(sigma, rel=0.15)


def test_noise_is_measured_where_the_picture_is_flat():
    half = pattern()
    half[:, :, 80:] = 0.5
    measured = [float(detail.noise(frames(luma + noise(2, 120, 161) * 4 / 255), soft)) for luma in (half, pattern())]
    assert measured[0] == pytest.approx(4, abs=1.6)  # half of the blocks: √2 at most above the truth
    assert measured[0] < measured[1] / 1.5


def test_blockiness_sees_the_grid_of_eight():
    smooth = blurred(pattern(), 4.0)
    blocky = avg_pool2d(smooth[:, None], 8).repeat_interleave(8, -1).repeat_interleave(8, -2)[:, 0]
    moved = torch.nn.functional.pad(blocky, (3, 0, 3, 0), mode="replicate")
    assert abs(float(detail.blockiness(frames(smooth), soft))) < 1
    assert float(detail.blockiness(frames(blocky), soft)) > 6
    assert float(detail.blockiness(frames(moved), soft)) > 6


def test_exposure_counts_crushed_and_burnt_pixels():
    grey = torch.full((1, 10, 10), 0.5, dtype=torch.float64)
    grey[0, :2] = 0.0
    grey[0, 7:] = 1.0
    assert float(detail.exposure(frames(grey), hard)) == pytest.approx(50)
    assert float(detail.exposure(frames(grey), soft)) == pytest.approx(50, abs=4)


def test_colourfulness_follows_the_published_formula():
    colour = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    red, green, blue = 255 * colour[0]
    rg, yb = red - green, (red + green) / 2 - blue
    expected = (rg.var(correction=0) + yb.var(correction=0)).sqrt() + 0.3 * (rg.mean() ** 2 + yb.mean() ** 2).sqrt()
    got = detail.colourfulness(Frames(colour, colour), soft)
    assert float(got) == pytest.approx(float(expected), rel=1e-3)
    assert float(detail.colourfulness(frames(pattern()), soft)) < 0.2
