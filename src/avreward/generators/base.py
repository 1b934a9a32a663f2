"""The protocol of generators: noise that can be written down, conditions, samplers and their cost.

A generator is any callable ``generate(condition, seed, **arguments) -> Clip``. That is enough for best-of-N. Search
needs more: mixing the noise of candidates, taking fewer steps, pausing between steps to preview a candidate. A
`Sampler` can do that; `DiffusersSampler` makes one from any diffusers pipeline without copying its code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError


class GeneratorStopped(AvrewardError):
    """The generator cannot continue: the budget is spent, the API key is refused, the disk is full. Ends the run.

    Attributes:
        clips: the clips of the batch that were made before.
    """

    clips: Sequence[Clip] = ()


@dataclass(frozen=True)
class Noise:
    """The initial noise of a candidate, as a mix of seeds: ``sum(weight * randn(seed))``.

    The squares of the weights sum to 1, so that every mix is standard normal. The result of a search can therefore be
    stored in a few numbers and reproduced from them alone.

    Attributes:
        parts: (seed, weight) of each seed in the mix.

    Example:
        >>> Noise.of(7).near(8, distance=0.6)
        Noise(parts=((7, 0.8), (8, 0.6)))
    """

    parts: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, seed: int) -> Noise:
        """Return the noise of one seed."""
        return cls(((seed, 1.0),))

    @property
    def seed(self) -> int | None:
        """The seed if the noise comes from a single one, else `None`."""
        return self.parts[0][0] if len(self.parts) == 1 else None

    def near(self, seed: int, distance: float) -> Noise:
        """Return a neighbour: ``sqrt(1 - distance²)`` of this noise plus `distance` (0 to 1) of the noise of `seed`."""
        return self._mixed(Noise.of(seed), distance**2)

    def cross(self, other: Noise, share: float) -> Noise:
        """Return a mix of two noises, in which `share` (0 to 1) of the variance comes from `other`."""
        return self._mixed(other, share)

    def _mixed(self, other: Noise, share: float) -> Noise:
        if not 0 <= share <= 1:
            raise ArgumentError("share", "a share of the variance between 0 and 1", share)
        weights: dict[int, float] = {}
        for noise, part in ((self, math.sqrt(1 - share)), (other, math.sqrt(share))):
            for seed, weight in noise.parts:
                weights[seed] = weights.get(seed, 0.0) + part * weight
        # Noises with seeds in common are correlated, so the sum is scaled back to variance 1.
        size = math.sqrt(sum(weight**2 for weight in weights.values()))
        if size == 0:
            raise ArgumentError("other", "a noise that does not cancel this one", other, "mix other seeds")
        return Noise(tuple((seed, round(weight / size, 12)) for seed, weight in weights.items() if weight))

    def stream(self) -> NoiseStream:
        """Return a stream of draws, in the order in which a pipeline asks for them."""
        return NoiseStream(self)


class NoiseStream:
    """Successive draws of a mix; each seed has its own generator on the CPU."""

    def __init__(self, noise: Noise) -> None:
        self._parts = [(torch.Generator().manual_seed(seed), weight) for seed, weight in noise.parts]

    def randn(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Return the next draw of this shape, standard normal, on the CPU."""
        if len(self._parts) == 1:
            return torch.randn(shape, generator=self._parts[0][0], dtype=dtype)
        draws = [weight * torch.randn(shape, generator=own, dtype=dtype) for own, weight in self._parts]
        return torch.stack(draws).sum(0)


@dataclass(frozen=True)
class Condition:
    """The input from which candidates are generated.

    Attributes:
        clip: the clip that all candidates share (*optional*), such as a silent video to which each candidate adds
            audio. A plain callable gets it as its first argument, of any type.
        arguments: of the generator's call: ``prompt=…``, ``num_inference_steps=…``.
    """

    clip: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Cost:
    """The work that a search did. A denoising step of a batch counts once for each candidate in it.

    Attributes:
        steps: denoising steps; 0 for a plain callable, which does not report them.
        decodes: clips decoded from latents, including previews; for a plain callable, the clips it returned.
        rewards: clips that the reward rated.
        seconds: spent on generating and rating.
    """

    steps: int = 0
    decodes: int = 0
    rewards: int = 0
    seconds: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("steps", "decodes", "rewards", "seconds"))
        return Cost(*(mine - its for mine, its in pairs))


class SamplingRun(Protocol):
    """A batch of candidates that are being denoised, paused between two denoising steps.

    Attributes:
        rows: number of candidates.
        step: steps taken.
        total: steps to take.
    """

    rows: int
    step: int
    total: int

    def advance(self, seeds: Sequence[int] | None = None, spread: float = 0.0) -> None:
        """Take one denoising step.

        Args:
            seeds: of the noise added to each row; required if `spread` is above 0.
            spread: 0 keeps the sampler's own step; 1 is ancestral sampling.
        """

    def preview(self, row: int) -> Clip:
        """Decode the predicted clean sample of one row; counts as one decode.

        Raises:
            MediaError: if this row cannot be decoded to a clip; any other error means that no row can.
        """

    def take(self, row: int) -> Any:
        """Return a copy of the state of one row."""

    def put(self, row: int, state: Any) -> None:
        """Set one row to a state returned by `take`, of this run or of another run of the same condition."""

    def finish(self) -> list[Clip]:
        """Take the remaining steps without added noise and return the clips."""

    def close(self) -> None:
        """Stop the run and free its memory. May be called at any time, and more than once."""


@runtime_checkable
class Sampler(Protocol):
    """A generator that search can control step by step. Its work is added to `cost`.

    Attributes:
        name: identifies the generator and its settings, so that an interrupted run is resumed with the same one.

    A sampler may also have ``rows(batch_size) -> int``, the number of candidates that it can make together, and methods
    that raise `ArgumentError` before anything is generated: ``check(condition)`` for a call that cannot work,
    ``check_steering()`` if candidates cannot be exchanged between steps.
    """

    @property
    def name(self) -> str:
        """Identifies the generator."""

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """Generate one clip from each of `noises`, in `steps` denoising steps (default: as the condition says).

        A clip depends on its own noise alone, not on the rest of the batch. An exception means that no clip of the
        batch could be made.
        """

    def start(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> SamplingRun:
        """Start a run for `noises` that waits before its first denoising step."""

    def steps(self, condition: Condition) -> int:
        """Return the number of denoising steps of a clip."""
