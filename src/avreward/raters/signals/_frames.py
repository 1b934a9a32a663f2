"""Measurements of single frames: sharpness, noise, blockiness, exposure, colourfulness."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from avreward.raters.signals._gates import Gate, decibel, low_level
from avreward.raters.signals._texture import Frames
from avreward.raters.signals._video import to_luma

STEEPEST = 7.0  # dB; edges of real and synthesized pictures reach 6.4, patterns finer than any edge have 7.6 to 46


def sharpness(frames: Frames, gate: Gate) -> Tensor:
    """How much steeper edges are at fine than at coarse scale, in dB: higher where edges are sharp.

    Squared gradients of the frame blurred by one pixel and of its means over 4 × 4 pixels, the former averaged over the
    same cells, both weighted by the latter, so that edges count and noise does not; the mean over the frames. Above
    `STEEPEST` it falls again by 2 dB for each: so fine a pattern shows no edges.
    """
    fine, coarse = decibel(torch.stack([texture.edges for texture in frames.textures], 1) + 1e-14, 0.0)
    steep = fine - coarse
    return (steep - 3 * softplus(steep - STEEPEST, beta=3)).mean()


def noise(frames: Frames, gate: Gate) -> Tensor:
    """Noise level in 8-bit levels: its standard deviation (Immerkær), low level over blocks of 16 × 16 (flat ones)."""
    blocks = 255 * torch.stack([texture.noise for texture in frames.textures])  # (frames, blocks)
    return low_level(blocks, torch.ones_like(blocks[0]), gate).mean()


def blockiness(frames: Frames, gate: Gate) -> Tensor:
    """Luma steps across the borders of 8 × 8 blocks relative to the steps beside them, in dB (after Wang et al.)."""
    profiles = zip(*((texture.down, texture.across) for texture in frames.textures), strict=True)
    down, across = (_grid_excess(torch.stack(of_frames).mean(0)) for of_frames in profiles)
    return (down + across) / 2


def _grid_excess(profile: Tensor) -> Tensor:
    """Mean step at every eighth place over the mean of the other steps, where the grid stands out most."""
    if profile.shape[0] < 9:
        return profile.sum() * 0
    place = torch.arange(profile.shape[0], device=profile.device) % 8
    excess = [_over(profile[place == k], profile[place != k]) for k in range(8)]
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
    mean = opponent.mean((-2, -1), keepdim=True)
    spread = (opponent - mean).square().mean((-2, -1)).sum(0)
    return (torch.sqrt(spread + 0.01) + 0.3 * torch.sqrt(mean.square().sum(0).flatten() + 0.01)).mean()
