"""Samplers for plain callables and for any other generator of clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.generators._identity import identity, run_key
from avreward.generators.base import Condition, Cost, GeneratorStopped, Noise, Sampler, SamplingRun

Generate = Callable[..., Clip]


class CallableSampler:
    """A plain callable as a `Sampler` that supports seeds only: no mixed noise, no steps.

    Args:
        generate: ``generate(condition, seed, **arguments) -> Clip``.
    """

    def __init__(self, generate: Generate) -> None:
        self.generate = generate
        self.name = name_of(generate)

    def make(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> list[Clip]:
        """Call the callable once for each seed.

        Raises:
            ArgumentError: if `steps` is given, a noise is not that of one seed, or the callable does not return a clip.
        """
        if steps is not None:
            raise self._unable("fewer denoising steps")
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
                raise ArgumentError(self.name, "to return a Clip", Described(f"a {type(clips[-1]).__name__}"))
        return clips

    def no_mixes(self) -> ArgumentError:
        """Return the error for a strategy that mixes the noise of several seeds."""
        return self._unable("mixed noise")

    def _unable(self, what: str) -> ArgumentError:
        got = Described(f"the plain callable {self.name}")
        return ArgumentError("generator", f"one that supports {what}", got, "pass a diffusers pipeline or a Sampler")

    def start(self, condition: Condition, noises: Sequence[Noise], cost: Cost, steps: int | None = None) -> SamplingRun:
        """Raise `ArgumentError`, since a plain callable cannot be paused between steps."""
        raise self._unable("pausing between denoising steps")

    def steps(self, condition: Condition) -> int:
        """Raise `ArgumentError`, since a plain callable does not report its steps."""
        raise self._unable("a number of denoising steps")


def name_of(function: Any) -> str:
    """Return a name for a callable, so that a run is not resumed with a different one.

    A function is named by its qualified name; an object by its class and its ``identity`` or ``name``, or its `repr`
    unless that contains a memory address; a partial also by its arguments; a method also by its object. The variables
    of a closure and the weights of a model do not count, and two lambdas of one scope have the same name. Settings are
    hashed, since an API key may be among them.

    Example:
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
    settings = identity(function) if own is None else own
    return kind if settings == kind else f"{kind} {run_key(settings)}"


def as_sampler(generator: Any, fps: float | None = None, sample_rate: int | None = None) -> Sampler:
    """Return a `Sampler` for any generator of clips.

    Args:
        generator: a `Sampler`, a diffusers pipeline, or a callable ``generate(condition, seed) -> Clip``.
        fps: frames per second, for a pipeline that does not report them (*optional*).
        sample_rate: of the audio in Hz, for a pipeline that does not report it (*optional*).

    Raises:
        ArgumentError: if `generator` is none of these, or a rate is given for one that is not a diffusers pipeline.
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
    expected = "a diffusers pipeline, a Sampler or a callable generate(condition, seed) -> Clip"
    raise ArgumentError("generator", expected, generator)
