"""The stochastic steps of a group of samples, kept so that they can be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from avreward.generators.flow_generator import Latents


@dataclass(frozen=True)
class Transition:
    """A stochastic step of a group, and what replaying it needs.

    Attributes:
        step: number of the denoising step.
        before: latents before it.
        after: latents that were drawn.
        log_probs: of the draw, by the network that drew.
    """

    step: int
    before: Latents
    after: Latents
    log_probs: dict[str, Tensor]

    def rows(self, rows: slice) -> Transition:
        """Return it for some samples of the group, as a slice."""
        before, after, log_probs = (
            {name: x[rows] for name, x in of.items()} for of in (self.before, self.after, self.log_probs)
        )
        return Transition(self.step, before, after, log_probs)


@dataclass(frozen=True)
class Rollout:
    """The samples of one condition: its encoding, noise levels, clean latents, and stochastic steps."""

    encoded: Any
    sigmas: list[float]
    clean: Latents
    transitions: list[Transition]


def level_of_rows(latents: Latents, sigma: float) -> Tensor:
    """Return a noise level for each row."""
    first = next(iter(latents.values()))
    return first.new_full((len(first),), sigma)
