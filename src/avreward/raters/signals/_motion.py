"""Measurements along time: flicker, frozen and dropped frames, temporal smoothness, dynamic degree."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.raters.signals._gates import Gate, decibel
from avreward.raters.signals._video import Motion

STILL = 0.255  # 8-bit levels: −60 dB, as in ffmpeg's freezedetect
FREEZE = 0.15  # s; a shorter hold is a slow frame rate, not a freeze


def flicker(motion: Motion, gate: Gate) -> Tensor:
    """RMS deviation of the mean luma from the line between its neighbours in time, in 8-bit levels."""
    return 255 * torch.sqrt(_bend(motion.course.mean, motion.steps).square().mean() + 1e-8)


def frozen(motion: Motion, gate: Gate) -> Tensor:
    """Share of the time, in percent, in which the video is frozen.

    Frozen means a change under 0.255 levels (−60 dB) and under 3 % of the usual change in the clip, so that slow motion
    or camera noise does not count. A hold counts from 0.15 s on, and from 2.5 times the usual hold: a slow but steady
    frame rate does not count.
    """
    if motion.steps.shape[0] == 0:
        return motion.course.mean.sum() * 0
    change = 255 * motion.course.whole
    usual = _usual_hold(change > STILL)
    reach = max(2, round(FREEZE / max(1e-6, float(motion.steps.median()))), round(2.5 * (usual - 1)))
    limit = 1 / (1 / STILL + 1 / (0.03 * change.square().mean().add(1e-8).sqrt() + 0.003))
    still = gate(torch.log(limit) - torch.log(_stillest(change, reach) + 5e-5))
    return 100 * (still * motion.steps).sum() / motion.steps.sum()


def _usual_hold(moved: Tensor) -> int:
    """Return the median number of steps from one change of the frame to the next; 1 where there are few changes."""
    at = moved.nonzero()[:, 0]
    return int(at.diff().median()) if at.shape[0] > 4 else 1


def dropped(motion: Motion, gate: Gate) -> Tensor:
    """Share of the time, in percent, that gaps between time stamps last beyond the usual step (the median)."""
    steps = motion.steps
    if steps.shape[0] == 0:
        return motion.course.mean.sum() * 0
    usual = steps.median()
    return (
        100 * (gate((steps / usual - 1.5) / 0.05) * (steps - usual)).sum() / steps.sum() + motion.course.mean.sum() * 0
    )


def jerkiness(motion: Motion, gate: Gate) -> Tensor:
    """Energy of the bend of each pixel's course over that of its change, in dB: 5 dB for random change."""
    bend = _bend(motion.course.coarse, motion.steps)
    if bend.shape[0] == 0:
        return motion.course.mean.sum() * 0
    change = (motion.course.coarse[2:] - motion.course.coarse[:-2]) / 2
    floor = (0.3 / 255) ** 2
    return decibel((4 * bend.square().mean() + floor) / (change.square().mean() + floor), 0.0)


def disorder(motion: Motion, gate: Gate) -> Tensor:
    """Energy of the change from one frame to the next over that across 0.33 s, in dB; ordered motion adds up."""
    steps = motion.steps
    far = min(motion.course.coarse.shape[0] - 1, max(2, round(0.33 / max(1e-6, float(steps.median())))))
    near = motion.course.coarse.diff(dim=0).square().mean()
    across = (motion.course.coarse[far:] - motion.course.coarse[:-far]).square().mean()
    floor = (0.3 / 255) ** 2
    return decibel((near + floor) / (across + 30 * floor), 0.0)


def dynamic_degree(motion: Motion, gate: Gate) -> Tensor:
    """Motion speed (normal flow) in percent of the width a second: RMS change in time over RMS change in space."""
    luma = motion.course.coarse
    if luma.shape[0] < 2 or min(luma.shape[1:]) < 2:
        return motion.course.mean.sum() * 0
    change = (luma.diff(dim=0).square().mean((-2, -1)) / motion.steps.square()).mean()
    slope = luma.diff(dim=-1).square().mean() + luma.diff(dim=-2).square().mean()
    return 100 / luma.shape[-1] * torch.sqrt(change / (slope + (0.5 / 255) ** 2) + 1e-6)


def _bend(x: Tensor, steps: Tensor) -> Tensor:
    """How far x (frames, …) is from the line between its neighbours in time (frames − 2, …)."""
    before, after = steps[:-1], steps[1:]
    share = (before / (before + after)).reshape(-1, *[1] * (x.dim() - 1))
    return x[1:-1] - (1 - share) * x[:-2] - share * x[2:]


def _stillest(x: Tensor, reach: int) -> Tensor:
    """For each element of x (n,), the least mean of any `reach` neighbours that hold it."""
    reach = min(reach, x.shape[0])
    means = x.unfold(0, reach, 1).mean(-1)  # (n − reach + 1,)
    padded = torch.nn.functional.pad(means, (reach - 1, reach - 1), value=float("inf"))
    return padded.unfold(0, reach, 1).amin(-1)
