import math

import pytest
import torch
from torch import Tensor

from avreward.datasets.synthetic import _perturb_video as pp
from avreward.datasets.synthetic._blur import gaussian_blur


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(frames: int = 6, height: int = 61, width: int = 90) -> Tensor:
    """Soft random texture of medium contrast that is another one in every frame."""
    rough = gaussian_blur(torch.randn(frames * 3, height, width, generator=dice(4)), 1.5)
    return (0.5 + 0.6 * rough).clamp(0.05, 0.95).view(frames, 3, height, width)


def test_blur_of_an_edge_has_the_asked_width() -> None:
    edge = torch.zeros(1, 3, 240, 120)
    edge[..., 60:] = 1.0
    for sigma_at_480 in (1.6, 3.2, 8.0):
        row = pp.blur(edge, sigma_at_480, dice())[0, 0, 120]
        slope = torch.diff(row)
        centre = (slope * torch.arange(119)).sum()
        spread = math.sqrt(float((slope * (torch.arange(119) - centre) ** 2).sum()))
        assert spread == pytest.approx(sigma_at_480 / 2, rel=0.08)


def test_blur_keeps_flat_and_edges() -> None:
    flat = torch.full((1, 3, 40, 50), 100 / 255)
    torch.testing.assert_close(pp.blur(flat, 3.2, dice()), flat)


@pytest.mark.parametrize("sigma", [4.0, 10.0, 25.0])
def test_noise_has_the_asked_deviation(sigma: float) -> None:
    grey = torch.full((4, 3, 60, 80), 0.5)
    difference = pp.picture_noise(grey, sigma, dice()) - grey
    assert float(difference.std()) * 255 == pytest.approx(sigma, rel=0.03)
    first, second = difference[0].flatten(), difference[1].flatten()
    assert abs(float(torch.corrcoef(torch.stack((first, second)))[0, 1])) < 0.03


def border_ratio(video: Tensor) -> float:
    """Mean step over the borders of the 8x8 grid, relative to the mean step inside blocks."""
    steps = (video[..., 1:] - video[..., :-1]).abs().mean(dim=(0, 1, 2))
    border = torch.arange(len(steps)) % 8 == 7
    return float(steps[border].mean() / steps[~border].mean())


def test_blockiness_grows_on_the_grid() -> None:
    video = picture()
    ratios = [border_ratio(video)] + [border_ratio(pp.blockiness(video, c, dice())) for c in (2.0, 4.0, 8.0)]
    assert ratios == sorted(ratios)
    assert ratios[0] == pytest.approx(1.0, abs=0.1)
    assert ratios[-1] > 1.5


def test_fine_steps_give_the_picture_back() -> None:
    video = picture()
    grey = video.mean(1, keepdim=True).expand(-1, 3, -1, -1)  # colour is stored at half size: grey loses nothing
    torch.testing.assert_close(pp.blockiness(grey, 0.01, dice()), grey, atol=1.5 / 255, rtol=0)
    assert pp.blockiness(video, 4.0, dice()).shape == video.shape


def test_cosines_are_orthonormal() -> None:
    matrix = pp.cosines(torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8, dtype=torch.float64))


def test_flicker_changes_the_gain_of_frames_only() -> None:
    video = 0.5 * picture(40)
    gains = (pp.flicker(video, 0.08, dice()) / video).flatten(1)
    assert float(gains.mean(1).std()) == pytest.approx(0.08, rel=0.35)
    assert gains.std(1).max() < 0.05  # rounding only


def test_values_stay_in_range_and_type() -> None:
    video = picture(2).double() * 2 - 0.5
    for function, severity in (
        (pp.blur, 1.6),
        (pp.picture_noise, 25.0),
        (pp.blockiness, 8.0),
        (pp.flicker, 0.2),
    ):
        result = function(video, severity, dice())
        assert result.dtype == torch.float64
        assert result.shape == video.shape
        assert result.min() >= 0
        assert result.max() <= 1
        assert torch.equal(result, function(video, severity, dice()))


@pytest.mark.parametrize("fps", [12.0, 16.0, 30.0])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_frozen_share_and_runs(fps: float, share: float) -> None:
    for seed in range(5):
        count = int(4 * fps)
        order = pp.frozen_order(torch.arange(count) / fps, share, dice(seed))
        held = torch.diff(order) == 0
        assert float(held.sum()) / count == pytest.approx(share, abs=0.6 / count + 1e-6)
        assert (order <= torch.arange(count)).all()
        assert (torch.diff(order) >= 0).all()
        _, runs = order.unique_consecutive(return_counts=True)
        assert (runs.max() - 1) / fps <= 0.6 + 0.5 / fps


def test_frozen_of_one_frame() -> None:
    assert pp.frozen_order(torch.zeros(1), 0.5, dice()).tolist() == [0]


@pytest.mark.parametrize("share", [0.0, 0.15, 0.4, 1.0])
def test_shuffles_are_local_permutations(share: float) -> None:
    order = pp.shuffled_order(38, share, dice())
    assert sorted(order.tolist()) == list(range(38))
    windows = [order[k : k + 4] - torch.arange(k, min(38, k + 4)) for k in range(0, 38, 4)]
    mixed = [bool((moves != 0).all()) for moves in windows]
    assert sum(mixed) == max(1, round(share * 10))
    assert all(bool((moves == 0).all()) for moves, one in zip(windows, mixed, strict=True) if not one)
    assert int(torch.cat(windows).abs().max()) < 4
