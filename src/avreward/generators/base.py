"""What makes candidates: noise that can be written down, a generator's contract, and what making them costs.

A generator is any callable ``generate(condition, seed, **arguments) -> Clip``. That is enough for best-of-N. Search
needs more: to mix the noise of candidates, to take fewer steps, to stop on the way and look. What can do that is a
`Sampler`; `avreward.generators.diffusers.sampler` makes one of any diffusers pipeline, without a line of its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators._identity import identity, run_key

Generate = Callable[..., Clip]


class GeneratorStopped(AvrewardError):
    """A generator can't go on at all: the budget is spent, the key refused, the disk full. It ends a run.

    Attributes:
        clips: what it had made of a batch by then.
    """

    clips: Sequence[Clip] = ()


@dataclass(frozen=True)
class Noise:
    """The noise that a candidate begins with, as a mix of seeds: ``sum(weight * randn(seed))``.

    Weights have squares that sum to 1, so that every mix is standard normal again. What a search found is so written
    in a few numbers, and made again from them alone.

    >>> Noise.of(7).near(8, distance=0.6)
    Noise(parts=((7, 0.8), (8, 0.6)))
    """

    parts: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, seed: int) -> Noise:
        """The noise of one seed."""
        return cls(((seed, 1.0),))

    @property
    def seed(self) -> int | None:
        """The seed, if the noise is that of one seed alone."""
        return self.parts[0][0] if len(self.parts) == 1 else None

    def near(self, seed: int, distance: float) -> Noise:
        """A neighbour: ``sqrt(1 - distance²)`` of this noise and `distance` (0 to 1) of the noise of `seed`."""
        return self._mixed(Noise.of(seed), distance**2)

    def cross(self, other: Noise, share: float) -> Noise:
        """A child of two: `share` (0 to 1) of its variance is the other's."""
        return self._mixed(other, share)

    def _mixed(self, other: Noise, share: float) -> Noise:
        if not 0 <= share <= 1:
            raise ValueError(f"share: {share} isn't between 0 and 1; say how much of the variance is the other's")
        weights: dict[int, float] = {}
        for noise, part in ((self, math.sqrt(1 - share)), (other, math.sqrt(share))):
            for seed, weight in noise.parts:
                weights[seed] = weights.get(seed, 0.0) + part * weight
        # Relatives have seeds in common: their noises are correlated, and the sum is scaled back to variance 1.
        size = math.sqrt(sum(weight**2 for weight in weights.values()))
        if size == 0:
            raise ValueError(f"{self} and {other} cancel each other; mix others")
        return Noise(tuple((seed, round(weight / size, 12)) for seed, weight in weights.items() if weight))

    def stream(self) -> NoiseStream:
        """Draws, one after the other, as a pipeline asks for them."""
        return NoiseStream(self)


class NoiseStream:
    """Successive draws of a mix: each seed has a generator of its own, on the CPU."""

    def __init__(self, noise: Noise) -> None:
        self._parts = [(torch.Generator().manual_seed(seed), weight) for seed, weight in noise.parts]

    def randn(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """The next draw of this shape, standard normal, on the CPU."""
        if len(self._parts) == 1:
            return torch.randn(shape, generator=self._parts[0][0], dtype=dtype)
        draws = [weight * torch.randn(shape, generator=own, dtype=dtype) for own, weight in self._parts]
        return torch.stack(draws).sum(0)


@dataclass(frozen=True)
class Condition:
    """What candidates are asked for.

    Attributes:
        clip: what they have in common: a silent video, whose dubs are then clips of that video (*optional*). For a
            plain callable: whatever it takes as its first argument.
        arguments: of the generator's call: ``prompt=…``, ``num_inference_steps=…``.
    """

    clip: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Cost:
    """What was spent. One denoising step is one step of one candidate, whatever the batch.

    Attributes:
        steps: denoising steps; not known (0) for a plain callable.
        decodes: clips decoded from latents, previews too; for a plain callable the clips it made.
        rewards: clips that the reward judged.
        seconds: of making and judging.
    """

    steps: int = 0
    decodes: int = 0
    rewards: int = 0
    seconds: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("steps", "decodes", "rewards", "seconds"))
        return Cost(*(mine - its for mine, its in pairs))


class SamplingRun(Protocol):
    """A few candidates on their way from noise to clip, stopped between two denoising steps.

    Attributes:
        rows: how many candidates.
        step: steps taken.
        total: steps to take.
    """

    rows: int
    step: int
    total: int

    def advance(self, seeds: Sequence[int] | None = None, spread: float = 0.0) -> None:
        """One denoising step.

        Args:
            seeds: of the noise that is added to each row; needed where `spread` is more than 0.
            spread: 0 leaves the sampler as it is; 1 is ancestral sampling; see `selection.stochastic`.
        """

    def preview(self, row: int) -> Clip:
        """The clip that the predicted clean sample of one row decodes to. Counts a decode.

        A `MediaError` means that this one can't be shown, another error that none can.
        """

    def take(self, row: int) -> Any:
        """A copy of the state of one row."""

    def put(self, row: int, state: Any) -> None:
        """Sets one row to a state that `take` gave, of this run or of another one of the same condition."""

    def finish(self) -> list[Clip]:
        """Takes the steps that are left, as the sampler is, and returns the clips."""

    def close(self) -> None:
        """Gives up what isn't finished. May be called at any time, also again."""


@runtime_checkable
class Sampler(Protocol):
    """A generator that search can lead. All that it does is added to `cost`.

    Attributes:
        name: names the generator, as far as it can tell, for a run that is taken up again.
    """

    name: str

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """One clip for each of `noises`, in `steps` denoising steps (*optional*, as the condition says).

        The noise of a clip alone decides what it becomes, whatever else is made with it. An exception means that none
        of them could be made.
        """

    def start(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> SamplingRun:
        """Sets out for the clips of `noises`, before the first denoising step."""

    def steps(self, condition: Condition) -> int:
        """How many denoising steps a clip takes."""


class CallableSampler:
    """A plain callable as a `Sampler`: seeds only."""

    def __init__(self, generate: Generate) -> None:
        self.generate = generate
        self.name = name_of(generate)

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """One call a seed."""
        if steps is not None:
            raise TypeError(f"{self.name}: a plain callable takes no steps; give a pipeline or a Sampler")
        clips = []
        for noise in noises:
            if noise.seed is None:
                raise self.no_mixes()
            cost.decodes += 1
            try:
                clips.append(self.generate(condition.clip, noise.seed, **condition.arguments))
            except GeneratorStopped as error:
                error.clips = clips  # they may have been paid for
                raise
            if not isinstance(clips[-1], Clip):
                raise TypeError(f"{self.name}: it returned a {type(clips[-1]).__name__}; return a Clip")
        return clips

    def no_mixes(self) -> TypeError:
        """The error for a strategy that needs them."""
        return TypeError(f"{self.name}: a plain callable takes seeds, no mixes; give a pipeline or a Sampler")

    def start(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> SamplingRun:
        """Not possible."""
        raise TypeError(f"{self.name}: a plain callable can't be stopped on the way; give a pipeline or a Sampler")

    def steps(self, condition: Condition) -> int:
        """Not known."""
        raise TypeError(f"{self.name}: a plain callable tells no steps; give a pipeline or a Sampler")


def name_of(function: Any) -> str:
    """What can be told of a callable, so that a folder isn't taken up by another one.

    A function by its qualified name; an object by its class and its ``identity`` or ``name``, or its `repr` where that
    is no address; a partial by its arguments, too; a method by its object, too. What a closure holds, and weights, it
    can't tell; two lambdas of one scope have one name. Settings are hashed: a key may be among them.

    >>> name_of(partial(sorted, reverse=True)) == name_of(partial(sorted, reverse=False))
    False
    """
    if isinstance(function, partial):
        return f"{name_of(function.func)} {run_key(function.args, function.keywords)}"
    owner = getattr(function, "__self__", None)
    if hasattr(function, "__qualname__"):
        name = f"{function.__module__}.{function.__qualname__}"
        return name if owner is None or isinstance(owner, ModuleType) else f"{name} of {name_of(owner)}"
    kind = f"{type(function).__module__}.{type(function).__qualname__}"
    own = next((text for key in ("identity", "name") if isinstance(text := getattr(function, key, None), str)), None)
    told = identity(function) if own is None else own
    return kind if told == kind else f"{kind} {run_key(told)}"


def as_sampler(generator: Any, fps: float | None = None, sample_rate: int | None = None) -> Sampler:
    """Return a `Sampler` of whatever makes clips: a sampler, a diffusers pipeline, or ``generate(condition, seed)``.

    `fps` and `sample_rate` are for a pipeline that does not report them; the others return clips with their rates.
    """
    pipeline = any(base.__name__ == "DiffusionPipeline" for base in type(generator).__mro__)
    if pipeline:  # known by the name of its class, since diffusers takes seconds to import
        from avreward.generators.diffusers.sampler import DiffusersSampler

        return DiffusersSampler(generator, fps=fps, sample_rate=sample_rate)
    for name, rate in (("fps", fps), ("sample_rate", sample_rate)):
        if rate is not None:
            remedy = "set the rate of the clips that the generator returns"
            raise ArgumentError(name, "nothing for a generator that is not a diffusers pipeline", rate, remedy)
    if isinstance(generator, Sampler):
        return generator
    if callable(generator):
        return CallableSampler(generator)
    kind = type(generator).__name__
    raise TypeError(f"generator: a {kind}; give a diffusers pipeline, a Sampler or generate(condition, seed) -> Clip")
