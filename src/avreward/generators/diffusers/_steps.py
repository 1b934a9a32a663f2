"""Observe and change the denoising steps of a diffusers scheduler from outside, without changing the pipeline."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avreward.generators._stochastic import NoiseLevel
from avreward.generators.diffusers._clean import predicted_clean


class ObservedStep(NamedTuple):
    """The input and the result of one denoising step.

    Attributes:
        track: 0 for the pipeline's scheduler, 1 for the first copy that the pipeline made of it (audio), …
        left: number of steps up to the end of the schedule, with this one.
        sample: before the step.
        result: after it.
        clean: computes the predicted clean sample and the levels before and after the step.
    """

    track: int
    left: int
    sample: Tensor
    result: Tensor
    clean: Callable[[], tuple[Tensor, NoiseLevel, NoiseLevel]]


class ObservedScheduler:
    """Replacement for ``scheduler.step`` of a scheduler and its copies, which calls a listener at each step.

    Some pipelines make a deep copy of their scheduler for the audio. The copy gets its own `ObservedScheduler` with
    the same listener.

    Args:
        scheduler: the step of its class is called with unchanged arguments.
        listener: gets the observed step and returns the sample that the pipeline gets.
        generators: passed to steps that draw noise if the pipeline passes none, so that seeds repeat their results.
        tracks: shared by all copies.
    """

    def __init__(
        self,
        scheduler: Any,
        listener: Callable[[ObservedStep], Tensor],
        generators: list[torch.Generator] | None,
        tracks: list[ObservedScheduler] | None = None,
    ) -> None:
        self.scheduler, self.listener, self.generators = scheduler, listener, generators
        self.tracks = tracks if tracks is not None else []
        self.track = len(self.tracks)
        self.tracks.append(self)
        # Pipelines inspect whether a step takes eta or a generator.
        self.__signature__ = inspect.signature(type(scheduler).step.__get__(scheduler))

    def __deepcopy__(self, memo: dict[int, Any]) -> ObservedScheduler:
        copied = copy.deepcopy(self.scheduler, memo)  # already in the memo, as it is being copied
        return ObservedScheduler(copied, self.listener, self.generators, self.tracks)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Take the scheduler's step and pass it to the listener."""
        bound = self.__signature__.bind(*arguments, **named)
        given = bound.arguments
        if "generator" in self.__signature__.parameters and given.get("generator") is None and self.generators:
            given["generator"] = self.generators if len(self.generators) > 1 else self.generators[0]
        sample, output, time = given["sample"], given["model_output"], given["timestep"]
        known = given.get("per_token_timesteps"), given.get("pred_original_sample")
        place = copy.copy(self.scheduler)  # the state before the step, which changes it
        if hasattr(place, "_init_step_index") and place.step_index is None:
            place._init_step_index(time)
        result = type(self.scheduler).step(self.scheduler, *bound.args, **bound.kwargs)
        seen = ObservedStep(
            self.track,
            _steps_left(place, time),
            sample,
            result[0],
            partial(predicted_clean, place, output, time, sample, *known),
        )
        changed = self.listener(seen)
        if changed is result[0]:
            return result
        if isinstance(result, tuple):
            return (changed, *result[1:])
        result.prev_sample = changed
        return result


def _steps_left(scheduler: Any, time: Any) -> int:
    times = scheduler.timesteps
    place = getattr(scheduler, "step_index", None)
    if place is None:
        found = (times == time).nonzero()
        place = int(found[0]) if len(found) else 0
    return len(times) - place
