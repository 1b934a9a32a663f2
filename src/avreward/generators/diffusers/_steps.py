"""Denoising steps of a diffusers scheduler, seen and led from outside: nothing of the pipeline is copied or changed."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.generators._stochastic import NoiseLevel


class ObservedStep(NamedTuple):
    """What a step was given, and what it made of it.

    Attributes:
        track: 0 for the pipeline's scheduler, 1 for the first copy that the pipeline made of it (sound), …
        sample: before the step.
        result: after it.
        clean: computes the predicted clean sample and the levels before and after the step.
    """

    track: int
    sample: Tensor
    result: Tensor
    clean: Callable[[], tuple[Tensor, NoiseLevel, NoiseLevel]]


class ObservedScheduler:
    """Takes the place of ``scheduler.step`` on one scheduler, and of its copies.

    Some pipelines copy their scheduler deeply, to have another one for the sound. The copy gets a `ObservedScheduler`
    of its own, bound to it, which tells the same listener.

    Args:
        scheduler: the step of its class is called, with all arguments as they come.
        listener: given what was seen, returns the sample that the pipeline gets.
        generators: given to steps that draw noise, where the pipeline doesn't: else no seed could repeat them.
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
        # Pipelines look whether a step takes eta or a generator.
        self.__signature__ = inspect.signature(type(scheduler).step.__get__(scheduler))

    def __deepcopy__(self, memo: dict[int, Any]) -> ObservedScheduler:
        copied = copy.deepcopy(self.scheduler, memo)  # it is being copied: the memo has it
        return ObservedScheduler(copied, self.listener, self.generators, self.tracks)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The scheduler's step, seen by the listener."""
        bound = self.__signature__.bind(*arguments, **named)
        given = bound.arguments
        if "generator" in self.__signature__.parameters and given.get("generator") is None and self.generators:
            given["generator"] = self.generators if len(self.generators) > 1 else self.generators[0]
        sample, output, time = given["sample"], given["model_output"], given["timestep"]
        place = copy.copy(self.scheduler)  # the step moves on; what it was must still be known
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
    """The clean sample that the network predicts at a step, and the levels of noise before and after the step.

    Known are schedulers of flow matching (Euler), those of DDIM's kind (``alphas_cumprod``), and those that convert
    the network's output to a clean sample themselves (DPM-Solver, UniPC, EDM); others are an `AvrewardError`.

    Args:
        scheduler: as it was before the step.
        output: of the network. time: of the step. sample: (batch, …) before the step.
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
    raise AvrewardError(
        f"scheduler: what {kind} predicts isn't known here; give the pipeline one of {known}, "
        "UniPCMultistepScheduler, EDMDPMSolverMultistepScheduler"
    )


def _converted(scheduler: Any, index: int) -> NoiseLevel:
    alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[index])
    return NoiseLevel(float(alpha), float(sigma))


def _convert(scheduler: Any, output: Tensor, sample: Tensor) -> Tensor:
    """The clean sample, whichever of the two the algorithm itself wants."""
    config = scheduler.config
    if not getattr(scheduler, "predict_x0", True) or "++" not in getattr(config, "algorithm_type", "++"):
        raise AvrewardError(
            f"scheduler: {type(scheduler).__name__} is set to predict noise; make it with algorithm_type="
            "'dpmsolver++', or predict_x0=True"
        )
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
