"""Measurements of single frames: sharpness, noise, blockiness, exposure, colourfulness."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad, softplus

from avreward.raters.signals._gates import Gate, decibel, low_level, magnitude
from avreward.raters.signals._video import Frames, to_luma

STEEPEST = 7.0  # dB; edges of real and synthesized pictures reach 6.4, patterns finer than any edge have 7.6 to 46


def sharpness(frames: Frames, gate: Gate) -> Tensor:
    """How much steeper edges are at fine than at coarse scale, in dB: higher where edges are sharp.

    Squared gradients of the frame blurred by one pixel and of its means over 4 × 4 pixels, the former averaged over the
    same cells, both weighted by the latter, so that edges count and noise does not; the mean over the frames. Above
    `STEEPEST` it falls again by 2 dB for each: so fine a pattern shows no edges.
    """
    luma = _at_least(frames.detail, 16)
    fine = _pooled(_squared_gradient(_smoothed(luma)))
    coarse = _squared_gradient(_pooled(luma), 2) / 16  # two cells on are four pixels
    fine = fine[:, 2 : 2 + coarse.shape[1], 2 : 2 + coarse.shape[2]]
    coarse = coarse[:, : fine.shape[1], : fine.shape[2]]
    floor = 1e-14
    steep = decibel((coarse * fine).mean((1, 2)) + floor, 0.0) - decibel(coarse.square().mean((1, 2)) + floor, 0.0)
    return (steep - 3 * softplus(steep - STEEPEST, beta=3)).mean()


def noise(frames: Frames, gate: Gate) -> Tensor:
    """Noise level in 8-bit levels: its standard deviation (Immerkær), low level over blocks of 16 × 16 (flat ones)."""
    x = _at_least(frames.detail, 3)
    x = x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]
    x = x[:, :, 2:] - 2 * x[:, :, 1:-1] + x[:, :, :-2]
    strength = 255 * magnitude(x, 0.25 / 255) * (math.pi / 2) ** 0.5 / 6
    blocks = avg_pool2d(strength.unsqueeze(1), 16, ceil_mode=True, count_include_pad=False).flatten(1)
    return low_level(blocks, torch.ones_like(blocks[0]), gate).mean()


def blockiness(frames: Frames, gate: Gate) -> Tensor:
    """Luma steps across the borders of 8 × 8 blocks relative to the steps beside them, in dB (after Wang et al.)."""
    return (_grid_excess(frames.detail) + _grid_excess(frames.detail.transpose(-1, -2))) / 2


def _grid_excess(luma: Tensor) -> Tensor:
    """Mean step at every eighth column over the mean of the other steps, where the grid stands out most.

    Strong edges saturate at about 20 levels.
    """
    step = magnitude(luma.diff(dim=-1), 0.5 / 255)
    step = step / (1 + step * 255 / 20)
    profile = step.flatten(0, -2).mean(0)
    if profile.shape[0] < 9:
        return profile.sum() * 0
    column = torch.arange(profile.shape[0], device=luma.device) % 8
    excess = [_over(profile[column == k], profile[column != k]) for k in range(8)]
    return (torch.logsumexp(4 * torch.stack(excess), 0) - math.log(8)) / 2  # a cropped frame has its grid elsewhere


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


def _smoothed(luma: Tensor) -> Tensor:
    """(n, h, w) → (n, h − 2, w − 2): the binomial blur (1 2 1)/4 both ways, a Gaussian of σ = 0.7 pixels."""
    x = (luma[:, 2:] + 2 * luma[:, 1:-1] + luma[:, :-2]) / 4
    return (x[:, :, 2:] + 2 * x[:, :, 1:-1] + x[:, :, :-2]) / 4


def _pooled(x: Tensor) -> Tensor:
    """Means over cells of 4 × 4 that begin at every second pixel, so that a crop by one pixel hardly changes them."""
    return avg_pool2d(x.unsqueeze(1), 4, 2).squeeze(1)


def _squared_gradient(luma: Tensor, step: int = 1) -> Tensor:
    """|∇|² (n, h − 2·step, w − 2·step) by central differences over `step` to both sides, as if it were one."""
    inner = slice(step, -step)
    across = (luma[:, inner, 2 * step :] - luma[:, inner, : -2 * step]) / 2
    down = (luma[:, 2 * step :, inner] - luma[:, : -2 * step, inner]) / 2
    return across.square() + down.square()


def _at_least(luma: Tensor, side: int) -> Tensor:
    """Repeats the border of tiny frames until they are `side` wide and high."""
    height, width = luma.shape[-2:]
    if height >= side and width >= side:
        return luma
    return pad(luma.unsqueeze(1), (0, max(0, side - width), 0, max(0, side - height)), mode="replicate").squeeze(1)
