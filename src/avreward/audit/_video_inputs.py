"""Degenerate videos: functions of the real frames (n, 3, height, width) and a generator, values in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

MakePicture = Callable[[Tensor, torch.Generator], Tensor]
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_DRIVE = 8.0  # factor on colours and contrast in `saturation`
_DARK = 1 / 3  # brightness of every second frame in `flicker`


def black(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return black frames."""
    return torch.zeros_like(video)


def one_colour(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return one colour of medium brightness in every pixel and frame."""
    colour = 0.15 + 0.7 * torch.rand(3, generator=generator)
    return colour.to(video)[:, None, None].expand_as(video).contiguous()


def white_noise(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform noise in [0, 1]."""
    return torch.rand(video.shape, generator=generator).to(video)


def saturation(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return the real frames with eight times the colour and contrast, clipped to [0, 1]."""
    luma = torch.einsum("nchw,c->nhw", video, video.new_tensor(LUMA))[:, None]
    return (0.5 + _DRIVE * (luma - luma.mean()) + _DRIVE * (video - luma)).clamp(0, 1)


def frozen(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return the middle frame, repeated."""
    return video[len(video) // 2].expand_as(video).contiguous()


def flicker(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return the real frames, every second one at a third of its brightness."""
    light = torch.ones(len(video))
    light[1::2] = _DARK
    return video * light.to(video)[:, None, None, None]


def checkerboard(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return a still checkerboard of white and black pixels."""
    height, width = video.shape[-2:]
    board = (torch.arange(height)[:, None] + torch.arange(width)) % 2
    return board.to(video).expand_as(video).contiguous()


def stripes(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return a sine pattern of three pixels a period at a random angle, moving a quarter of a period each frame."""
    count, _, height, width = video.shape
    angle = math.pi * float(torch.rand((), generator=generator))
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    phase = 2 * math.pi / 3 * (math.cos(angle) * columns + math.sin(angle) * rows)
    waves = torch.sin(phase + math.pi / 2 * torch.arange(count)[:, None, None])
    return (0.5 + 0.45 * waves).to(video)[:, None].expand_as(video).contiguous()


_PURE: tuple[MakePicture, ...] = (
    black, one_colour, white_noise, saturation, frozen, flicker, checkerboard, stripes,
)  # fmt: skip


def mixture(video: Tensor, generator: torch.Generator) -> Tensor:
    """Return the weighted mean of two or three of the others, drawn at random."""
    weights, chosen = drawn(len(_PURE), generator)
    mixed = torch.zeros_like(video)
    for weight, index in zip(weights, chosen, strict=True):
        mixed += weight * _PURE[index](video, generator)
    return mixed.clamp_(0, 1)


def drawn(count: int, generator: torch.Generator) -> tuple[list[float], list[int]]:
    """Draw two or three of `count` indices; return weights that sum to 1, and the indices."""
    few = 2 + int(torch.randint(2, (), generator=generator))
    weights = 0.2 + torch.rand(few, generator=generator)
    return (weights / weights.sum()).tolist(), torch.randperm(count, generator=generator)[:few].tolist()
