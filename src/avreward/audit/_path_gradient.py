"""Attribution by gradients: the reward's gradient along the way from an evened-out clip to the clip (integrated)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from avreward.audit._substitutes import blurred
from avreward.audit.ascent import built
from avreward.clip import Clip
from avreward.rewards.base import Reward

POINTS = 8  # of the way at which the gradient is taken
BLOCK = 0.02  # s; level of the audio
AROUND = 1.0  # s on each side that the level is compared with
MOST_GAIN = 10.0  # factor (20 dB) by which a moment is turned up or down
FRAMES = 0.25  # s on each side over which frames are averaged


def integrated_gradients(
    reward: Reward, clip: Clip, grid: tuple[int, int], step: Callable[[str], None]
) -> dict[str, Tensor]:
    """Return each track's part in the difference between the rewards of the clip and of the evened-out clip.

    The part of a pixel or sample is its difference from the evened-out clip times the mean of its gradient at `POINTS`
    points between the two (Sundararajan et al., arXiv:1703.01365, eq. 3). They are summed over blocks of a video
    (frames, rows, columns), and over the channels of audio (samples, 1).
    """
    tracks = {}
    if clip.has_video:
        tracks["video"] = clip.video.detach(), evened_video(clip.video.detach(), clip.times, grid)
    if clip.has_audio:
        tracks["audio"] = clip.sound().detach(), evened_audio(clip.sound().detach(), clip.sample_rate)
    parts: dict[str, Tensor] = {}
    for k in range(POINTS):
        step(f"gradient {k + 1} of {POINTS}")
        share = (k + 0.5) / POINTS
        leaves = {name: torch.lerp(even, own, share).requires_grad_() for name, (own, even) in tracks.items()}
        value = reward([built(clip, leaves)])[0]
        gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(leaves, gradients, strict=True):
            if gradient is not None and gradient.any():
                own, even = tracks[name]
                part = _summed(name, gradient * (own - even), grid) / POINTS
                parts[name] = parts[name] + part if name in parts else part
    return parts


def evened_video(video: Tensor, times: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return frames without detail finer than half a block, each the mean of those within a quarter of a second."""
    soft = blurred(video, grid)
    step = float(times.diff().median()) if len(times) > 1 else 1.0
    reach = min(len(video) - 1, max(1, round(FRAMES / step))) if len(video) > 1 else 0
    total = torch.cat([torch.zeros_like(soft[:1]), soft.cumsum(0)])
    place = torch.arange(len(soft), device=soft.device)
    first, end = (place - reach).clamp(min=0), (place + reach + 1).clamp(max=len(soft))
    return (total[end] - total[first]) / (end - first).to(soft)[:, None, None, None]


def evened_audio(audio: Tensor, rate: int) -> Tensor:
    """Return audio (channels, samples) whose level is that of its surroundings: bursts turned down, gaps turned up."""
    size = max(1, round(BLOCK * rate))
    count = audio.shape[-1]
    blocks = max(1, count // size)
    if count < size:
        return audio
    power = audio[:, : blocks * size].reshape(audio.shape[0], blocks, size).square().mean((0, 2)) + 1e-10
    reach = min(blocks - 1, round(AROUND / BLOCK))
    around = pad(power[None, None], (reach, reach), mode="replicate")[0, 0].unfold(0, 2 * reach + 1, 1)
    gain = (around.median(-1).values / power).sqrt().clamp(1 / MOST_GAIN, MOST_GAIN)
    # A straight line between the middles of blocks keeps the gain free of steps.
    middle = (torch.arange(count, dtype=torch.float64, device=audio.device) + 0.5) / size - 0.5
    left = middle.floor().clamp(0, blocks - 1).long()
    right = (left + 1).clamp(max=blocks - 1)
    between = (middle - left).clamp(0, 1).to(audio)
    return (audio * torch.lerp(gain[left], gain[right], between)).clamp(-1, 1)


def _summed(track: str, part: Tensor, grid: tuple[int, int]) -> Tensor:
    if track == "audio":
        return part.double().sum(0)[:, None]
    height, width = part.shape[-2:]
    rows, columns = min(grid[0], height), min(grid[1], width)
    area = height * width / (rows * columns)
    return adaptive_avg_pool2d(part.double().sum(1, keepdim=True), (rows, columns))[:, 0] * area
