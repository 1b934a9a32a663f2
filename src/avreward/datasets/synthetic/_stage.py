"""Shared parts of synthetic scenes: random choices, the stage, sprites, particles and plots."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Dice:
    """Random choices from one seeded generator, so that a scene depends on its seed alone.

    `stream` gives independent numbers for one seed (motion, video, audio), so that a change in one keeps the others.

    Example:
        >>> Dice(3).uniform(0.0, 1.0) == Dice(3).uniform(0.0, 1.0)
        True
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        # A large odd factor separates neighbouring seeds and streams; the generator accepts seeds below the modulus.
        self.generator = torch.Generator().manual_seed(
            (seed * 6364136223846793005 + stream * 1442695040888963407) % 2**63
        )

    def uniform(self, low: float, high: float) -> float:
        """Return one number, uniform in [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def log_uniform(self, low: float, high: float) -> float:
        """Return one number whose logarithm is uniform: as many between 1 and 2 as between 2 and 4."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def integer(self, low: int, high: int) -> int:
        """Return one integer from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """Return `True` with the given probability."""
        return self.uniform(0.0, 1.0) < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers (*shape), float32."""
        return torch.randn(shape, generator=self.generator)

    def rand(self, *shape: int) -> Tensor:
        """Return uniform numbers in [0, 1), float32."""
        return torch.rand(shape, generator=self.generator)

    def times(self, start: float, end: float, shortest: float, longest: float) -> list[float]:
        """Return irregular times from start to end, at least one, with log-uniform gaps of `shortest` to `longest`."""
        found, now = [], min(start, 0.7 * end)
        while now < end:
            found.append(now)
            now += self.log_uniform(shortest, longest)
        return found


def interpolate(knots: Tensor, values: Tensor, at: Tensor) -> Tensor:
    """Interpolate linearly, constant outside; knots (k,) ascending, values (k,) or (k, d), at (n,)."""
    right = torch.searchsorted(knots, at).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    share = ((at - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
    if values.ndim > 1:
        share = share.unsqueeze(-1)
    return torch.lerp(values[right - 1], values[right], share.to(values.dtype))


def smooth_curve(dice: Dice, seconds: float, spacing: float, rate: float = 100.0) -> tuple[Tensor, Tensor]:
    """Return (times, values) of a random curve in [0, 1] at `rate` Hz, with a new level about every `spacing` s."""
    count = max(3, math.ceil(seconds / spacing) + 3)
    gaps = spacing * (0.5 + dice.rand(count))
    knots = torch.cumsum(gaps, 0) - gaps[0] - spacing * dice.uniform(0.0, 1.0)
    levels = dice.rand(count)
    times = torch.arange(0, math.ceil(seconds * rate) + 2, dtype=torch.float32) / rate
    right = torch.searchsorted(knots, times).clamp(1, count - 1)
    share = ((times - knots[right - 1]) / (knots[right] - knots[right - 1])).clamp(0, 1)
    return times, torch.lerp(levels[right - 1], levels[right], 0.5 - 0.5 * torch.cos(math.pi * share))


@dataclass(frozen=True)
class Stage:
    """The format of a scene. World coordinates: x from 0 to `aspect`, y from 0 (top) to 1 (bottom)."""

    dice: Dice
    seconds: float
    aspect: float
    rate: int
    fps: float
    floor: float  # y of the floor line

    @property
    def samples(self) -> int:
        """Number of audio samples."""
        return int(self.seconds * self.rate)


Pose = Callable[[Tensor], Tensor]  # times (n,) -> (n, 5): x, y, angle in radians, half width, half height


@dataclass(frozen=True)
class Sprite:
    """A moving rounded box: a ball, a stick, a box, a blob."""

    pose: Pose
    colour: Tensor  # (3,)
    roundness: float = 1.0  # 1: disc or capsule; 0: sharp corners
    shade: float = 0.3  # strength of the light gradient over it
    pattern: float = 0.0  # strength of a stripe pattern that turns with it
    opacity: float = 1.0


@dataclass(frozen=True)
class ParticleCloud:
    """Small soft dots, of `radius` in world units.

    `born` and `life` in s (count,); `place` turns ages (n, count) into x and y (n, count, 2).
    """

    born: Tensor
    life: Tensor
    place: Callable[[Tensor], Tensor]
    colours: Tensor  # (count, 3)
    radius: float
    glow: bool = False  # light that adds, instead of paint that covers
    opacity: float = 0.9


@dataclass
class Plot:
    """The content of a scene: sprites (back to front), particles, dry audio (samples,) and times of events."""

    sprites: list[Sprite] = field(default_factory=list)
    particles: list[ParticleCloud] = field(default_factory=list)
    sound: Tensor = field(default_factory=lambda: torch.zeros(0))
    events: list[float] = field(default_factory=list)
    dark: bool = False  # needs a dark background


def posed(x: Tensor, y: Tensor, angle: Tensor, half_width: float | Tensor, half_height: float | Tensor) -> Tensor:
    """Return poses (n, 5) from their columns; a number is repeated."""
    columns = (x, y, angle, torch.as_tensor(half_width), torch.as_tensor(half_height))
    return torch.stack(torch.broadcast_tensors(*columns), 1)


def fixed(x: float, y: float, half_width: float, half_height: float, angle: float = 0.0) -> Pose:
    """Return the pose of a sprite that does not move."""
    row = torch.tensor([x, y, angle, half_width, half_height])
    return lambda times: row.expand(len(times), 5)


def vivid(dice: Dice, low: float = 0.1, high: float = 0.95) -> Tensor:
    """Return a random colour (3,) between `low` and `high`; mostly muted."""
    grey = dice.uniform(low, high)
    tint = dice.normal(3)
    return (grey + (tint - tint.mean()) * dice.log_uniform(0.03, 0.3)).clamp(low, high)
