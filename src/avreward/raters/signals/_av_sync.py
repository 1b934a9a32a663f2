"""Measurements of video and audio together: loudness and motion, onsets and changes of motion, the offset.

Each is a correlation of two detrended time series (trend over a second), at the best lag within 60 ms, which people do
not notice (ITU-R BT.1359).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.raters.signals._audio import AudioWindow
from avreward.raters.signals._gates import LOWEST_EXPONENT, Gate, applied
from avreward.raters.signals._kept import Kept
from avreward.raters.signals._video import Motion

GRID = 0.02  # s between the points at which the courses are compared
REACH = 50  # points: lags up to a second are searched for the offset
NEAR = 3  # points: lags up to 60 ms count as in sync
TREND = 1.0  # s; slower changes say nothing about what belongs to what
CERTAINTY = 16.0  # of the best lag: a weak peak (correlation 0.2) hardly counts, a strong one (0.7) decides
SHORTEST = 0.5  # s of common time below which there is nothing to compare


@dataclass(frozen=True)
class AvWindow:
    """Time series of one stretch of video and audio at common times (points,)."""

    motion: Motion
    sound: AudioWindow

    @property
    def span(self) -> tuple[float, float]:
        """From when to when there is both, in s."""
        ends = float(self.motion.times[-1]), self.sound.start + self.sound.seconds
        return max(float(self.motion.times[0]), self.sound.start), min(ends)

    @property
    def seconds(self) -> float:
        """How long they have in common; negative if they do not meet."""
        return self.span[1] - self.span[0]

    @Kept
    def grid(self) -> Tensor:
        """The common times in s (points,), float64."""
        index = torch.arange(int(self.seconds / GRID), dtype=torch.float64, device=self.motion.steps.device)
        return self.span[0] + GRID * (index + 0.5)

    @Kept
    def _level(self) -> Tensor:
        """Log power of each frame of the spectrogram, over a floor 30 dB under its mean."""
        power, _ = self.sound.bands()
        total = power.sum(0)
        return torch.log(total / (total.mean() + 1e-8) + 1e-3)

    @Kept
    def _hearing(self) -> Tensor:
        """What each frame of the spectrogram counts at each point (points, frames)."""
        return _weights(self.grid, self.sound.frame_times, 0.03, self.sound.wave.dtype)

    @Kept
    def level(self) -> Tensor:
        """The sound's log power."""
        return _detrended(applied(self._hearing, self._level)).to(self.motion.steps)

    @Kept
    def onset(self) -> Tensor:
        """Rise of the sound's log power over 64 ms, where it rises."""
        level = torch.nn.functional.pad(self._level[None], (4, 4), mode="replicate")[0]
        rise = _positive(level[8:] - level[:-8], 0.05)
        return _detrended(applied(self._hearing, rise)).to(self.motion.steps)

    @Kept
    def _blocks(self) -> Tensor:
        """Motion energy of 6 × 8 blocks a second (frames − 1, blocks)."""
        return self.motion.course.blocks.flatten(1) / self.motion.steps.unsqueeze(1)

    @Kept
    def _seeing(self) -> Tensor:
        """What each step between frames counts at each point (points, frames − 1); a slow frame rate widens it."""
        between = (self.motion.times[1:] + self.motion.times[:-1]) / 2
        step = float(self.motion.steps.median())
        return _weights(self.grid, between, max(0.04, 0.6 * step), self.motion.steps.dtype)

    @Kept
    def energy(self) -> Tensor:
        """Log motion energy of the whole picture."""
        total = self._blocks.mean(1)
        return _detrended(applied(self._seeing, torch.log(total + 0.05 * total.mean() + 1e-3)))

    @Kept
    def _turns(self) -> Tensor:
        """Change of each block's motion (frames − 1, blocks), in units of what is usual for the block."""
        blocks = self._blocks
        change = torch.nn.functional.pad(blocks.diff(dim=0), (0, 0, 1, 0))
        return change / (blocks.mean(0) + 0.2 * blocks.mean() + 1e-3)

    @Kept
    def starts(self) -> Tensor:
        """How much motion sets in, over all blocks."""
        return _detrended(applied(self._seeing, _positive(self._turns, 0.02).mean(1)))

    @Kept
    def stops(self) -> Tensor:
        """How much motion ends, over all blocks: what strikes, stops."""
        return _detrended(applied(self._seeing, _positive(-self._turns, 0.02).mean(1)))


def loudness_motion(both: AvWindow, gate: Gate) -> Tensor:
    """Correlation of loudness with motion energy, −1 … 1."""
    return _in_sync(_lagged(both.level, both.energy))


def onset_motion(both: AvWindow, gate: Gate) -> Tensor:
    """Correlation of the sound's onsets with the starts of motion and with its changes, −1 … 1."""
    return _in_sync((_lagged(both.onset, both.starts) + _lagged(both.onset, both.starts + both.stops)) / 2)


def onset_contact(both: AvWindow, gate: Gate) -> Tensor:
    """Correlation of the sound's onsets and level with the ends of motion, −1 … 1: a blow sounds as the mover stops."""
    return _in_sync((_lagged(both.onset, both.stops) + _lagged(both.level, both.stops)) / 2)


def offset(both: AvWindow, gate: Gate) -> Tensor:
    """How far from sync the best lag is, in s beyond 60 ms: the mean over lags, those that fit best counting most."""
    curve = _smoothed(_all_lags(both))
    steps = torch.arange(-REACH, REACH + 1, dtype=curve.dtype, device=curve.device)
    beyond = GRID * (steps.abs() - NEAR).clamp(min=0)
    return (torch.softmax(CERTAINTY * curve * curve.abs(), 0) * beyond).sum()


def _smoothed(curve: Tensor, reach: int = 4) -> Tensor:
    """Return the curve (lags,) averaged over 80 ms to both sides (Hann window): what is in sync is so for that long."""
    window = torch.hann_window(2 * reach + 3, periodic=False, dtype=curve.dtype, device=curve.device)[1:-1]
    around = torch.nn.functional.pad(curve[None], (reach, reach), mode="replicate")
    return applied(around[0].unfold(0, window.shape[0], 1), window / window.sum())


def best_lag(both: AvWindow) -> Tensor:
    """Return the lag in s of the best correlation, positive where the audio is late; for `explain`."""
    return (int(_all_lags(both).argmax()) - REACH) * GRID * torch.ones_like(both.level[0])


def _all_lags(both: AvWindow) -> Tensor:
    pairs = (
        (both.level, both.energy),
        (both.onset, both.starts),
        (both.onset, both.starts + both.stops),
        (both.onset, both.stops),
        (both.level, both.stops),
    )
    return torch.stack([_lagged(x, y) for x, y in pairs]).mean(0)


def _lagged(late: Tensor, fixed: Tensor) -> Tensor:
    """Correlation of late(t + lag) with fixed(t) for lags −REACH … REACH (lags,); points beyond the ends count as 0."""
    scale = torch.sqrt((late.square().mean() + 1e-4) * (fixed.square().mean() + 1e-4)) * late.shape[0]
    windows = torch.nn.functional.pad(late, (REACH, REACH)).unfold(0, late.shape[0], 1)  # (lags, points)
    return applied(windows, fixed) / scale


def _in_sync(curve: Tensor) -> Tensor:
    """Return the best correlation at lags up to 60 ms, as a soft maximum."""
    near = curve[REACH - NEAR : REACH + NEAR + 1]
    return (torch.logsumexp(40 * near, 0) - math.log(near.shape[0])) / 40


def _weights(grid: Tensor, times: Tensor, width: float, dtype: torch.dtype) -> Tensor:
    """Return what values at `times` (n,) count at the points of `grid` (points, n): a Gaussian kernel of `width` s."""
    distance = ((grid.to(times.device)[:, None] - times[None]) / width).to(dtype)
    near = torch.exp((-distance.square() / 2).clamp(min=LOWEST_EXPONENT)) + 1e-12
    return near / near.sum(1, keepdim=True)


def _detrended(course: Tensor) -> Tensor:
    """Return the series (points,) minus its moving mean over a second (Hann window) and its mean."""
    radius = round(TREND / GRID / 2)
    window = torch.hann_window(2 * radius + 3, periodic=False, dtype=course.dtype, device=course.device)[1:-1]
    around = torch.nn.functional.pad(course[None], (radius, radius), mode="replicate")
    course = course - applied(around[0].unfold(0, window.shape[0], 1), window / window.sum())
    return course - course.mean()


def _positive(x: Tensor, softness: float) -> Tensor:
    """Return x where positive, else 0, smoothed over about `softness`."""
    return (x + torch.sqrt(x.square() + softness * softness)) / 2
