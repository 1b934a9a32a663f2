"""A synthetic generator whose best sample is known: flow matching towards a mixture of Gaussians, solved exactly.

The network's part, the expected clean sample, is a formula here, so that a search can be judged without training
anything: what a strategy finds is compared with the optimum, and what a shortcut loses is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from avreward import Dimension, Scores
from avreward.clip import Clip
from avreward.generators import Condition, Cost, Noise
from avreward.generators._stochastic import NoiseLevel, row_noise, stochastic_step
from avreward.raters import Rater, Sample, Work

SIDE, MODES, WIDTH = 8, 6, 0.35  # samples have SIDE numbers; of MODES Gaussians of this standard deviation


class Landscape:
    """A `Sampler` of "sounds" of SIDE samples, from a mixture of MODES Gaussians around random centres.

    Args:
        seed: of the centres. The condition's ``prompt``, if there is one, chooses among landscapes, too.
        steps: of a full run.
    """

    name = "landscape"

    def __init__(self, seed: int = 0, steps: int = 20) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.centres = torch.randn(MODES, SIDE, generator=draws, dtype=torch.float64)
        self.count, self.failing = steps, set[int]()

    def steps(self, condition: Condition) -> int:
        """Of a full run."""
        return int(condition.arguments.get("num_inference_steps", self.count))

    def clean(self, x: Tensor, sigma: float) -> Tensor:
        """E[clean | x] at a level of noise, (n, SIDE): each Gaussian's own, weighed by how likely it made x."""
        alpha = 1 - sigma
        spread = alpha**2 * WIDTH**2 + sigma**2
        away = x[:, None] - alpha * self.centres
        likely = (-away.square().sum(2) / (2 * spread)).softmax(1)
        own = self.centres + alpha * WIDTH**2 / spread * away
        return (likely[:, :, None] * own).sum(1)

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """All steps at once."""
        return self.start(condition, noises, cost, steps).finish()

    def start(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> Walk:
        """Return a walk from noise to the mixture."""
        return Walk(self, noises, cost, steps or self.steps(condition))


class Walk:
    """A `Run` on a landscape: Euler steps, or stochastic ones."""

    def __init__(self, landscape: Landscape, noises: Sequence[Noise], cost: Cost, total: int) -> None:
        self.landscape, self.cost, self.total, self.rows, self.step = landscape, cost, total, len(noises), 0
        self.seeds = [noise.seed for noise in noises]
        self.x = torch.stack([noise.stream().randn(SIDE, dtype=torch.float64) for noise in noises])
        self.seen = self.x

    def advance(self, seeds: Sequence[int] | None = None, spread: float = 0.0) -> None:
        """One step."""
        if self.landscape.failing & set(self.seeds):
            raise RuntimeError("this seed never works")
        now, after = (1 - (self.step + i) / self.total for i in (0, 1))
        self.seen = self.landscape.clean(self.x, now)
        own = [torch.Generator().manual_seed(seed) for seed in seeds or range(self.rows)]
        levels = NoiseLevel(1 - now, now), NoiseLevel(1 - after, after)
        self.x = stochastic_step(self.x, self.seen, *levels, row_noise(self.x, own), spread)
        self.step += 1
        self.cost.steps += self.rows

    def preview(self, row: int) -> Clip:
        """Of the predicted clean sample."""
        self.cost.decodes += 1
        return as_clip(self.seen[row])

    def take(self, row: int) -> Tensor:
        """Return a row."""
        return self.x[row].clone()

    def put(self, row: int, state: Any) -> None:
        """Set a row."""
        self.x[row] = state

    def finish(self) -> list[Clip]:
        """Return the rest of the steps."""
        while self.step < self.total:
            self.advance()
        self.cost.decodes += self.rows
        return [as_clip(row) for row in self.x]

    def close(self) -> None:
        """Nothing to do."""


def as_clip(x: Tensor) -> Clip:
    """Return a sample as a sound, since rewards are of clips."""
    return Clip(audio=x[None].clamp(-8, 8), sample_rate=1000)


class Distance(Rater):
    """Rates a sample by its distance from a target near one of the centres: 0 is the optimum, the largest there is.

    ``heldout`` measures the distance from another point nearby, which is not searched for: a search that overfits its
    reward gains less there.
    """

    dimensions = tuple(Dimension(name, -10, 0, frozenset({"audio"})) for name in ("reward", "heldout"))

    def __init__(self, landscape: Landscape, seed: int = 0) -> None:
        draws = torch.Generator().manual_seed(seed + 1)
        self.name, self.fingerprint, self.per_clip, self.tracks = "distance", f"distance {seed}", True, ("audio",)
        mode = int(torch.randint(MODES, (), generator=draws))
        shift, other = (torch.randn(SIDE, generator=draws, dtype=torch.float64) for _ in range(2))
        self.target = landscape.centres[mode] + WIDTH * shift
        self.elsewhere = self.target + WIDTH * other

    def load_track(self, clip: Clip, track: Any) -> Tensor:
        """Return the sample."""
        return clip.sound()[0]

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Minus the root mean square difference."""
        rows = []
        for sample in samples:
            x = sample.tracks["audio"]
            near = {"reward": self.target, "heldout": self.elsewhere}
            values = {name: -(x - point).square().mean().sqrt() for name, point in near.items()}
            rows.append((values, dict[str, str](), dict[str, tuple[str, ...]]()))
        return Scores.collect(rows, self.dimensions)
