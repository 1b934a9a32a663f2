"""Where something moves, and where it sounds: both from left (−1) to right (1), on one grid of times."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.raters.signals._gates import applied
from avreward.raters.signals._video import to_luma

GRID = 0.02  # s between the points of the grid
WINDOW = 0.06  # s of audio around each point
NEAR = 0.12  # s: standard deviation of the kernel that smooths what moves
LONGEST_LAG = 0.8e-3  # s: sound from the side reaches the farther ear 0.7 ms later
LEVEL, LAG = 6.0, 0.3e-3  # dB and s that are heard as about half of the way to one side (both saturate)
PEAKED = 12.0  # of the soft maximum over lags: peaks that stand out by 0.2 decide
FLOOR = 1e-10  # of a power: −100 dBFS
SAME = 1e-6  # share of the power that is in the difference of the channels below which audio counts as mono: −60 dB
STILL = (0.5 / 255) ** 2  # of a mean square change of luma


@dataclass(frozen=True)
class Movement:
    """What moves: `places` (n,) from −1 (left) to 1, with `energy` (n,), between the frames at `times` (n,) in s."""

    times: Tensor
    places: Tensor
    energy: Tensor

    @classmethod
    def of(cls, frames: Tensor, times: Tensor) -> Movement:
        """Measure it in frames (n + 1, 3, height, width) at `times` (n + 1,)."""
        change = to_luma(frames).diff(dim=0).square()  # (n, height, width)
        # what changes everywhere is the camera or noise
        usual = change.mean((-2, -1), keepdim=True)
        over = change - usual
        standing_out = (over + torch.sqrt(over.square() + STILL**2)) / 2
        columns = standing_out.mean(-2)  # (n, width)
        across = (torch.arange(columns.shape[1], device=columns.device, dtype=columns.dtype) + 0.5) / columns.shape[1]
        energy = columns.mean(-1)
        places = applied(columns, 2 * across - 1) / (columns.sum(-1) + columns.shape[1] * STILL)
        return cls((times[1:] + times[:-1]) / 2, places, energy)

    def at(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return place and energy at the points of `grid` (points,), each (points,)."""
        near = torch.exp(-((grid[:, None] - self.times[None]) / NEAR).square() / 2).to(self.energy) + 1e-12
        energy = applied(near, self.energy)
        return applied(near, self.energy * self.places) / (energy + 1e-12), energy / near.sum(1)


@dataclass(frozen=True)
class Hearing:
    """What is heard at the points of a grid: `power`, `level` in dB and `lag` in s, right louder or first: positive."""

    power: Tensor
    level: Tensor
    lag: Tensor

    @classmethod
    def of(cls, wave: Tensor, rate: int, grid: Tensor) -> Hearing:
        """Measure it in a waveform (2, samples) at the times `grid` (points,) in s."""
        size = round(WINDOW * rate)
        padded = torch.nn.functional.pad(wave, (size // 2, size))
        starts = (grid * rate).round().long().clamp(max=wave.shape[-1])
        windows = padded.unfold(-1, size, 1)[:, starts]  # (2, points, samples)
        windows = windows * torch.hann_window(size, dtype=wave.dtype, device=wave.device)
        powers = windows.square().mean(-1) + FLOOR  # (2, points)
        level = 10 / math.log(10) * torch.log(powers[1] / powers[0])
        reach = max(1, math.ceil(LONGEST_LAG * rate))
        spectra = torch.fft.rfft(windows, n=size + 2 * reach)
        product = spectra[0] * spectra[1].conj()
        curve = torch.fft.irfft(product, n=size + 2 * reach)  # entry k: the left channel is k samples late
        around = torch.cat([curve[:, -reach:], curve[:, : reach + 1]], 1)
        alike = around / (size * (powers[0] * powers[1]).sqrt())[:, None]
        lags = torch.arange(-reach, reach + 1, device=wave.device, dtype=wave.dtype) / rate
        lag = ((PEAKED * alike).softmax(1) * lags).sum(1)
        return cls(powers.mean(0), level, lag)


def is_mono(wave: Tensor) -> bool:
    """Return whether both channels of a waveform (2, samples) are the same but for −60 dB.

    >>> is_mono(torch.ones(2, 8)), is_mono(torch.tensor([[1.0], [0.9]]).expand(2, 8))
    (True, False)
    """
    left, right = wave.detach()
    return bool((left - right).square().sum() <= SAME * (left.square().sum() + right.square().sum()))


def agreement(place: Tensor, side: Tensor, weight: Tensor, floors: tuple[float, float]) -> Tensor:
    """Return how far two courses (points,) agree, −1 … 1: the mean of two weighted correlations.

    One takes the courses as they are, so that what stays on one side counts; the other without their means, so that the
    balance of a whole recording alone does not.

    Args:
        place: where something moves.
        side: where something sounds.
        weight: of each point (points,).
        floors: added to the mean squares of both courses.
    """
    share = weight / weight.sum()

    def correlation(x: Tensor, y: Tensor) -> Tensor:
        power = ((share * x.square()).sum() + floors[0] ** 2) * ((share * y.square()).sum() + floors[1] ** 2)
        return (share * x * y).sum() / power.sqrt()

    centred = correlation(place - (share * place).sum(), side - (share * side).sum())
    return (correlation(place, side) + centred) / 2
