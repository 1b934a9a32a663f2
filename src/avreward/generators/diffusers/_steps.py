"""Observe and change the denoising steps of a diffusers scheduler from outside, without changing the pipeline."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.generators._stochastic import NoiseLevel


class ObservedStep(NamedTuple):
    """The input and the result of one denoising step.

    Attributes:
        track: 0 for the pipeline's scheduler, 1 for the first copy that the pipeline made of it (audio), …
        sample: before the step.
        result: after it.
        clean: computes the predicted clean sample and the levels before and after the step.
    """

    track: int
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
        place = copy.copy(self.scheduler)  # the state before the step, which changes it
        if hasattr(place, "_init_step_index") and place.step_index is None:
            place._init_step_index(time)
        result = type(self.scheduler).step(self.scheduler, *bound.args, **bound.kwargs)
        seen = ObservedStep(self.track, sample, result[0], lambda: predicted_clean(place, output, time, sample))
        changed = self.listener(seen)
        if changed is result[0]:
            return result
        if isinstance(result, tuple):
            return (changed, *result[1:])
        result.prev_sample = changed
        return result


def predicted_clean(scheduler: Any, output: Tensor, time: Any, sample: Tensor) -> tuple[Tensor, NoiseLevel, NoiseLevel]:
    """Return the clean sample predicted at a step, and the levels of noise before and after the step.

    Supported are flow matching (Euler), DDIM schedulers (``alphas_cumprod``), and those that convert the network's
    output to a clean sample themselves (DPM-Solver, UniPC, EDM).

    Args:
        scheduler: in its state before the step.
        output: of the network.
        time: the timestep.
        sample: (batch, …) before the step.

    Raises:
        ArgumentError: if the scheduler is not supported.
    """
    kind = type(scheduler).__name__
    if kind == "FlowMatchEulerDiscreteScheduler":
        now, after = (float(scheduler.sigmas[scheduler.step_index + i]) for i in (0, 1))
        return sample.float() - now * output, NoiseLevel(1 - now, now), NoiseLevel(1 - after, after)
    if hasattr(scheduler, "convert_model_output") and hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
        levels = [_converted(scheduler, scheduler.step_index + i) for i in (0, 1)]
        return _convert(scheduler, output, sample), levels[0], levels[1]
    if kind in ("DDIMScheduler", "CogVideoXDDIMScheduler", "DDIMParallelScheduler"):
        return _ddim(scheduler, output, int(time), sample)
    known = "FlowMatchEulerDiscreteScheduler, DDIMScheduler, CogVideoXDDIMScheduler, DPMSolverMultistepScheduler"
    expected = f"one of {known}, UniPCMultistepScheduler, EDMDPMSolverMultistepScheduler"
    raise ArgumentError("scheduler", expected, Described(kind), "set pipeline.scheduler to one of them")


def _converted(scheduler: Any, index: int) -> NoiseLevel:
    alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[index])
    return NoiseLevel(float(alpha), float(sigma))


def _convert(scheduler: Any, output: Tensor, sample: Tensor) -> Tensor:
    """Return the clean sample, from a scheduler whose algorithm predicts it."""
    config = scheduler.config
    if not getattr(scheduler, "predict_x0", True) or "++" not in getattr(config, "algorithm_type", "++"):
        got = Described(f"a {type(scheduler).__name__} that predicts noise")
        remedy = "make it with algorithm_type='dpmsolver++', or predict_x0=True"
        raise ArgumentError("scheduler", "one that predicts the clean sample", got, remedy)
    return scheduler.convert_model_output(output, sample=sample)


def _ddim(scheduler: Any, output: Tensor, time: int, sample: Tensor) -> tuple[Tensor, NoiseLevel, NoiseLevel]:
    config = scheduler.config
    before = time - config.num_train_timesteps // scheduler.num_inference_steps
    products = scheduler.alphas_cumprod
    kept = (float(products[time]), float(products[before] if before >= 0 else scheduler.final_alpha_cumprod))
    now, after = (NoiseLevel(part**0.5, max(0.0, 1 - part) ** 0.5) for part in kept)
    match config.prediction_type:
        case "epsilon":
            clean = (sample - now.sigma * output) / now.alpha
        case "v_prediction":
            clean = now.alpha * sample - now.sigma * output
        case _:
            clean = output
    if getattr(config, "clip_sample", False):
        clean = clean.clamp(-config.clip_sample_range, config.clip_sample_range)
    return clean, now, after
