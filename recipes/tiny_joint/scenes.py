"""What the generator is trained on: a ball that bounces in a box, seen and heard for a second."""

from __future__ import annotations

import math

import torch
from torch import Tensor

FRAMES, SIDE, FPS = 8, 24, 8.0
RATE = 16000
COLOURS = {"red": (0.9, 0.15, 0.15), "green": (0.15, 0.85, 0.2), "blue": (0.2, 0.3, 0.95)}
PITCHES = {"red": 350.0, "green": 1100.0, "blue": 3000.0}  # Hz, of the sound of a bounce
SPEEDS = (8.0, 64.0)  # pixels a second, evenly spread on a logarithmic scale
STEPS = 50  # of the motion, a frame


def prompt_of(colour: str) -> str:
    """Return what the generator is asked for."""
    return f"a {colour} ball"


def bounce(colour: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return video (frames, 3, side, side) in [0, 1] and audio (samples,) in [−1, 1] of a ball.

    Where it starts, its speed and direction, its size and the brightness of the box follow from `seed`.
    """
    draw = torch.Generator().manual_seed(seed)
    radius, grey, angle, speed, x, y = torch.rand(6, generator=draw).tolist()
    radius, grey = 2.5 + 2 * radius, 0.08 + 0.15 * grey
    speed = SPEEDS[0] * (SPEEDS[1] / SPEEDS[0]) ** speed
    place = [radius + (SIDE - 2 * radius) * at for at in (x, y)]
    velocity = [speed * math.cos(2 * math.pi * angle), speed * math.sin(2 * math.pi * angle)]
    places, hits = [], []
    for step in range(FRAMES * STEPS):
        if step % STEPS == 0:
            places.append(tuple(place))
        for axis in (0, 1):
            place[axis] += velocity[axis] / (FPS * STEPS)
            if (place[axis] < radius and velocity[axis] < 0) or (place[axis] > SIDE - radius and velocity[axis] > 0):
                hits.append((step / (FPS * STEPS), abs(velocity[axis])))
                velocity[axis] = -velocity[axis]
    return _drawn(colour, places, radius, grey), _heard(colour, hits, speed, draw)


def _drawn(colour: str, places: list[tuple[float, ...]], radius: float, grey: float) -> Tensor:
    axis = torch.arange(SIDE) + 0.5
    frames = []
    for x, y in places:
        distance = ((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2).sqrt()
        ball = torch.sigmoid(2 * (radius - distance))
        frames.append(ball * torch.tensor(COLOURS[colour])[:, None, None] + (1 - ball) * grey)
    return torch.stack(frames)


def _heard(colour: str, hits: list[tuple[float, float]], speed: float, draw: torch.Generator) -> Tensor:
    samples = round(FRAMES / FPS * RATE)
    times = torch.arange(samples) / RATE
    wave = 0.05 * (speed / SPEEDS[1]) * torch.randn(samples, generator=draw)
    for moment, force in hits:
        since = (times - moment).clamp_min(0)
        envelope = torch.exp(-since / 0.06) * (times >= moment)
        wave = wave + 0.5 * (force / SPEEDS[1]) * envelope * torch.sin(2 * math.pi * PITCHES[colour] * since)
    return wave.clamp(-1, 1)
