"""A generator whose clips are also rated by a reward that is not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avreward.clip import Clip
from avreward.generators.base import Condition, Noise
from avreward.generators.flow_generator import FlowGenerator, Latents
from avreward.rewards.base import Reward


class WatchedGenerator:
    """Passes everything on to a generator, and rates each decoded clip by a held-out reward, without gradients.

    Args:
        generator: what generates.
        held_out: the reward; none rates nothing.
    """

    def __init__(self, generator: FlowGenerator, held_out: Reward | None) -> None:
        self.generator, self.held_out = generator, held_out
        self.network: nn.Module = generator.network
        self.streams = generator.streams
        self._found: list[float] = []

    def encode(self, condition: Condition) -> Any:
        """Return what the generator makes of a condition."""
        return self.generator.encode(condition)

    def start(self, encoded: Any, noises: Sequence[Noise]) -> Latents:
        """Return the generator's initial noise."""
        return self.generator.start(encoded, noises)

    def sigmas(self, steps: int, encoded: Any) -> list[float]:
        """Return the generator's noise levels."""
        return self.generator.sigmas(steps, encoded)

    def velocity(self, latents: Latents, sigma: Tensor, encoded: Any) -> Latents:
        """Return the generator's velocity."""
        return self.generator.velocity(latents, sigma, encoded)

    def decode(self, latents: Latents, encoded: Any) -> list[Clip]:
        """Return the generator's clips, and rate them."""
        clips = self.generator.decode(latents, encoded)
        if self.held_out is not None:
            with torch.no_grad():
                found = self.held_out.evaluate([clip.detached() for clip in clips])
            there = (found.present & found.values.isfinite()).tolist()
            self._found += [v if t else math.nan for v, t in zip(found.values.tolist(), there, strict=True)]
        return clips

    def take_held_out(self) -> list[float]:
        """Return the held-out rewards of all clips since the last call, in their order; NaN where missing."""
        found, self._found = self._found, []
        return found
