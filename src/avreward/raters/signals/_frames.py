"""Measurements of single frames: sharpness, noise, blockiness, exposure, colourfulness."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad, softplus

from avreward.raters.signals._gates import Gate, decibel, low_level, magnitude, rounded
from avreward.raters.signals._video import Frames, to_luma

STEEPEST = 7.0  # dB; edges of real and synthesized pictures reach 6.4, patterns finer than any edge have 7.6 to 46


def sharpness(frames: Frames, gate: Gate) -> Tensor:
    """How much steeper edges are at fine than at coarse scale, in dB: higher where edges are sharp.

    Squared gradients of the frame blurred by one pixel and of its means over 4 × 4 pixels, the former averaged over the
    same cells, both weighted by the latter, so that edges count and noise does not; the mean over the frames. Above
    `STEEPEST` it falls again by 2 dB for each: so fine a pattern shows no edges.
    """
    return _mean(_steepness(luma) for luma in _at_least(frames.detail, 16))


def _steepness(luma: Tensor) -> Tensor:
    """`sharpness` of one frame (h, w)."""
    fine = _pooled(_squared_gradient(_smoothed(luma))) / (4 * 16**3)
    coarse = _squared_gradient(_pooled(luma), 2) / (4 * 16**3)  # two cells on are four pixels
    fine = fine[2 : 2 + coarse.shape[0], 2 : 2 + coarse.shape[1]]
    coarse = coarse[: fine.shape[0], : fine.shape[1]]
    floor = 1e-14
    steep = decibel((coarse * fine).mean() + floor, 0.0) - decibel(coarse.square().mean() + floor, 0.0)
    return steep - 3 * softplus(steep - STEEPEST, beta=3)


def noise(frames: Frames, gate: Gate) -> Tensor:
    """Noise level in 8-bit levels: its standard deviation (Immerkær), low level over blocks of 16 × 16 (flat ones)."""
    return _mean(_noise(luma, gate) for luma in _at_least(frames.detail, 3))


def _noise(luma: Tensor, gate: Gate) -> Tensor:
    """`noise` of one frame (h, w)."""
    x = (luma[2:] + luma[:-2]).sub_(luma[1:-1], alpha=2)
    x = (x[:, 2:] + x[:, :-2]).sub_(x[:, 1:-1], alpha=2)
    softness = 0.25 / 255  # as in `magnitude`, whose constant is taken off the means
    blocks = avg_pool2d(rounded(x, softness)[None], 16, ceil_mode=True, count_include_pad=False).flatten() - softness
    blocks = 255 * (math.pi / 2) ** 0.5 / 6 * blocks
    return low_level(blocks, torch.ones_like(blocks), gate)


def blockiness(frames: Frames, gate: Gate) -> Tensor:
    """Luma steps across the borders of 8 × 8 blocks relative to the steps beside them, in dB (after Wang et al.)."""
    profiles = zip(*map(_steps, frames.detail), strict=True)
    down, across = (_grid_excess(torch.stack(of_frames).mean(0)) for of_frames in profiles)
    return (down + across) / 2


def _grid_excess(profile: Tensor) -> Tensor:
    """Mean step at every eighth place over the mean of the other steps, where the grid stands out most."""
    if profile.shape[0] < 9:
        return profile.sum() * 0
    place = torch.arange(profile.shape[0], device=profile.device) % 8
    excess = [_over(profile[place == k], profile[place != k]) for k in range(8)]
    return (torch.logsumexp(4 * torch.stack(excess), 0) - math.log(8)) / 2  # a cropped frame has its grid elsewhere


def _steps(luma: Tensor) -> tuple[Tensor, Tensor]:
    """Mean step of a frame (h, w) from each row to the next (h − 1,), and from each column to the next (w − 1,)."""
    return _step(luma.diff(dim=0)).mean(1), _step(luma.diff(dim=1)).mean(0)


def _step(change: Tensor) -> Tensor:
    """How much a change counts; strong edges saturate at about 20 levels."""
    step = magnitude(change, 0.5 / 255)
    return step / torch.add(step.new_tensor(1.0), step, alpha=255 / 20)


def _over(steps: Tensor, others: Tensor) -> Tensor:
    """Ratio of the mean steps in dB."""
    floor = 0.1 / 255
    return decibel((steps.mean() + floor) / (others.mean() + floor), 0.0)


def exposure(frames: Frames, gate: Gate) -> Tensor:
    """Share of pixels, in percent, that are nearly black (luma under 0.03) or burnt out (a colour over 0.97)."""
    below_the_end = 1 - gate((frames.colour - 0.97) / 0.01)  # (n, 3, h, w)
    burnt = 1 - below_the_end.prod(1)  # the detail of one colour is lost, however dark the pixel
    return 100 * (gate((0.03 - to_luma(frames.colour)) / 0.01) + burnt).mean()


def colourfulness(frames: Frames, gate: Gate) -> Tensor:
    """Colourfulness M of Hasler and Süsstrunk (2003): 0 grey, 33 moderate, 82 high."""
    red, green, blue = (255 * frames.colour).unbind(1)
    opponent = torch.stack([red - green, (red + green) / 2 - blue])
    spread = torch.sqrt(opponent.var((-2, -1), correction=0).sum(0) + 0.01)
    mean = torch.sqrt(opponent.mean((-2, -1)).square().sum(0) + 0.01)
    return (spread + 0.3 * mean).mean()


def _mean(values: Iterable[Tensor]) -> Tensor:
    """Return the mean over the frames, which are measured one by one: what a frame needs fits in the cache."""
    return torch.stack(list(values)).mean(0)


def _smoothed(luma: Tensor) -> Tensor:
    """(h, w) → (h − 2, w − 2): 16 times the binomial blur (1 2 1)/4 both ways, a Gaussian of σ = 0.7 pixels."""
    x = (luma[2:] + luma[:-2]).add_(luma[1:-1], alpha=2)
    return (x[:, 2:] + x[:, :-2]).add_(x[:, 1:-1], alpha=2)


def _pooled(x: Tensor) -> Tensor:
    """Return sums over cells of 4 × 4 that begin at every second pixel: a crop by one pixel hardly changes them."""
    x = x[:-1:2] + x[1::2]  # much faster than the library's pooling of single channels
    x = x[:, :-1:2] + x[:, 1::2]
    x = x[1:] + x[:-1]
    return x[:, 1:] + x[:, :-1]


def _squared_gradient(luma: Tensor, step: int = 1) -> Tensor:
    """|∇|² (h − 2·step, w − 2·step) by central differences over `step` to both sides, as if it were one; times 4."""
    inner = slice(step, -step)
    across = luma[inner, 2 * step :] - luma[inner, : -2 * step]
    down = luma[2 * step :, inner] - luma[: -2 * step, inner]
    return across.square().addcmul_(down, down)


def _at_least(luma: Tensor, side: int) -> Tensor:
    """Repeats the border of tiny frames until they are `side` wide and high."""
    height, width = luma.shape[-2:]
    if height >= side and width >= side:
        return luma
    return pad(luma.unsqueeze(1), (0, max(0, side - width), 0, max(0, side - height)), mode="replicate").squeeze(1)
