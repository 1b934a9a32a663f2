"""Backgrounds with the statistics of photographs: 1/f spectra, occlusion edges, regular patterns, uneven light."""

import math

import torch
from torch import Tensor

from avreward.datasets.synthetic._blur import gaussian_blur
from avreward.datasets.synthetic._stage import Dice, vivid


def cloud(dice: Dice, height: int, width: int, slope: float, planes: int = 1) -> Tensor:
    """Return noise with an amplitude spectrum of f**-slope; zero mean, unit deviation; (planes, height, width)."""
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.fft.rfftfreq(width)[None, :]
    radius = (rows.square() + columns.square()).sqrt().clamp_min(1.0 / max(height, width))
    spectrum = torch.fft.rfft2(dice.normal(planes, height, width)) * radius**-slope
    field = torch.fft.irfft2(spectrum, s=(height, width))
    field = field - field.mean(dim=(-2, -1), keepdim=True)
    return field / field.square().mean(dim=(-2, -1), keepdim=True).sqrt()


def leaves(dice: Dice, height: int, width: int) -> Tensor:
    """Return occluding discs and boxes of many sizes (the dead-leaves model of images); (3, height, width)."""
    canvas = vivid(dice)[:, None, None].expand(3, height, width).clone()
    smallest, largest = dice.log_uniform(0.012, 0.05) * height, 0.35 * height
    area = 2 * math.pi * smallest**2 * math.log(largest / smallest)
    palette = [vivid(dice) for _ in range(dice.integer(4, 12))]
    for _ in range(min(260, int(dice.uniform(0.7, 2.5) * height * width / area))):
        # Sizes follow r**-3, which gives the collage the spectrum of a photograph.
        radius = min(largest, smallest / math.sqrt(max(1e-4, dice.uniform(0.0, 1.0))))
        x, y = dice.uniform(0, width), dice.uniform(0, height)
        left, right = max(0, int(x - radius - 1)), min(width, int(x + radius + 2))
        top, bottom = max(0, int(y - radius - 1)), min(height, int(y + radius + 2))
        if right <= left or bottom <= top:
            continue
        down = torch.arange(top, bottom)[:, None] - y
        across = torch.arange(left, right)[None, :] - x
        if dice.chance(0.6):
            inside = (radius - (down.square() + across.square()).sqrt() + 0.5).clamp(0, 1)
        else:
            turn = dice.uniform(0, math.pi)
            first = (across * math.cos(turn) + down * math.sin(turn)).abs() / dice.uniform(0.3, 0.7)
            second = (down * math.cos(turn) - across * math.sin(turn)).abs() / 0.7
            inside = (radius - torch.maximum(first, second) + 0.5).clamp(0, 1)
        light = 1 + dice.uniform(-0.25, 0.25) * (across + down) / radius
        colour = dice.pick(palette) * dice.uniform(0.7, 1.3)
        canvas[:, top:bottom, left:right].lerp_(colour[:, None, None] * light, inside)
    return canvas


def pattern(dice: Dice, height: int, width: int) -> Tensor:
    """Return bricks, tiles, planks or a checkerboard as a relief of about unit deviation; (1, height, width)."""
    rows, columns = torch.arange(height)[:, None] * 1.0, torch.arange(width)[None, :] * 1.0
    turn = dice.normal(1).item() * 0.03
    y = rows * math.cos(turn) + columns * math.sin(turn)
    x = columns * math.cos(turn) - rows * math.sin(turn)
    tall = dice.log_uniform(9, 45)
    wide = tall * dice.uniform(1.0, 3.0)
    kind = dice.pick(("brick", "tile", "plank", "checker"))
    row = torch.floor(y / tall)
    x = x + (row.remainder(2) * wide / 2 if kind == "brick" else 0)
    column = torch.floor(x / wide) if kind != "plank" else torch.zeros_like(x)
    if kind == "checker":
        return (2 * (row + column).remainder(2) - 1)[None]
    to_edge = torch.minimum((y / tall).remainder(1) * tall, tall - (y / tall).remainder(1) * tall)
    if kind != "plank":
        to_edge = torch.minimum(to_edge, torch.minimum((x / wide).remainder(1), 1 - (x / wide).remainder(1)) * wide)
    joint = (1.5 - to_edge).clamp(0, 1)
    tint = torch.frac(torch.sin(row * 12.9898 + column * 78.233) * 43758.5453)  # one random-looking tone a brick
    return ((tint - 0.5) * dice.uniform(0.4, 1.6) - joint * dice.uniform(0.8, 2.5))[None]


def surface(dice: Dice, height: int, width: int) -> Tensor:
    """Return one textured, unevenly lit surface, values about [0, 1]; (3, height, width)."""
    kind = dice.pick(("cloud", "leaves", "leaves", "pattern", "pattern", "smooth"))
    grain = cloud(dice, height, width, dice.uniform(0.5, 1.4))
    base = vivid(dice, 0.15, 0.85)[:, None, None]
    if kind == "leaves":
        picture = leaves(dice, height, width) * (1 + dice.log_uniform(0.03, 0.25) * grain)
    else:
        relief = {"cloud": lambda: 0.2 * grain, "smooth": lambda: 0.03 * grain}.get(
            kind, lambda: 0.12 * pattern(dice, height, width) + dice.log_uniform(0.02, 0.12) * grain
        )()
        tint = 1 + 0.15 * dice.normal(3, 1, 1)
        picture = base + relief * tint * dice.log_uniform(0.4, 1.3)
    down = torch.linspace(-0.5, 0.5, height)[:, None]
    across = torch.linspace(-0.5, 0.5, width)[None, :]
    direction = dice.uniform(0, 2 * math.pi)
    light = 1 + dice.uniform(0, 0.7) * (across * math.cos(direction) + down * math.sin(direction))
    return picture * light


def background(dice: Dice, height: int, width: int, floor_row: int | None, dark: bool) -> Tensor:
    """Return a backdrop (3, height, width) in [0, 1], with a floor of another surface from `floor_row` down."""
    picture = surface(dice, height, width)
    if floor_row is not None and 2 < floor_row < height - 2:
        ground = surface(dice, height - floor_row, width)
        shadow = 1 - 0.35 * torch.exp(-torch.arange(height - floor_row) / (0.03 * height))[:, None]
        picture = torch.cat((picture[:, :floor_row], ground * shadow), 1)
    middle = picture.mean()
    contrast = dice.uniform(0.5, 1.1)
    level = dice.uniform(0.03, 0.12) if dark else dice.uniform(0.25, 0.65)
    picture = level + (picture - middle) * contrast * (0.3 if dark else 1.0)
    # Lenses are never perfectly sharp, and backdrops are often out of focus.
    sigma = dice.uniform(1.0, 2.5) if dice.chance(0.2) else dice.uniform(0.3, 0.65)
    return gaussian_blur(picture, sigma).clamp(0.0, 1.0)
