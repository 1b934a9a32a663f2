"""The clean sample that a step of a diffusers scheduler predicts, and the levels of noise before and after it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.generators._stochastic import NoiseLevel

Prediction = tuple[Tensor, NoiseLevel, NoiseLevel]

# x = (1 - sigma) * clean + sigma * noise, and the network predicts noise - clean.
FLOW = (
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "FlowMapEulerDiscreteScheduler",
    "LTXEulerAncestralRFScheduler",
)
# x = clean + sigma * noise.
VARIANCE_EXPLODING = (
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "EDMEulerScheduler",
)
# x = sqrt(product) * clean + sqrt(1 - product) * noise.
VARIANCE_PRESERVING = (
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "LCMScheduler",
    "CogVideoXDDIMScheduler",
    "CogVideoXDPMScheduler",
)
# They convert the network's output themselves.
CONVERTING = (
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EDMDPMSolverMultistepScheduler",
    "CosineDPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
)
SUPPORTED = (*FLOW, *VARIANCE_EXPLODING, *VARIANCE_PRESERVING, *CONVERTING)
NEVER_CLIPS = ("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler")  # they have the setting, but their steps ignore it


def check_scheduler(scheduler: Any) -> None:
    """Raise `ArgumentError` if the clean samples of a scheduler's steps are not known."""
    kind = type(scheduler).__name__
    if kind not in SUPPORTED:
        expected = f"one of {', '.join(SUPPORTED)}"
        remedy = "set pipeline.scheduler to one of them, or use best_of_n, evolution or drafts"
        raise ArgumentError("scheduler", expected, Described(kind), remedy)
    if getattr(scheduler, "_scale_factors", None):
        remedy = "make it without scale_factors, or use best_of_n"
        raise ArgumentError(
            "scheduler", "one that keeps the size of its latents", Described(f"{kind} that scales them"), remedy
        )


def predicted_clean(
    scheduler: Any,
    output: Tensor,
    time: Any,
    sample: Tensor,
    per_token: Tensor | None = None,
    given: Tensor | None = None,
) -> Prediction:
    """Return the clean sample predicted at a step, and the levels of noise before and after the step.

    Args:
        scheduler: in its state before the step.
        output: of the network.
        time: the timestep.
        sample: (batch, …) before the step.
        per_token: (batch, tokens) timesteps, if those of a sample (batch, tokens, features) differ (*optional*).
        given: the clean sample, if the pipeline passes it to the step (*optional*).

    Raises:
        ArgumentError: if the scheduler is not supported.
    """
    check_scheduler(scheduler)
    kind = type(scheduler).__name__
    if kind in FLOW:
        return _flow(scheduler, output, sample, per_token)
    if kind in VARIANCE_EXPLODING:
        now, after = (float(scheduler.sigmas[scheduler.step_index + i]) for i in (0, 1))
        clean = _exploding(scheduler, output, sample, now) if given is None else given
        return clean, NoiseLevel(1.0, now), NoiseLevel(1.0, after)
    if kind in VARIANCE_PRESERVING:
        return _preserving(scheduler, output, int(time), sample)
    levels = [_converted(scheduler, scheduler.step_index + i) for i in (0, 1)]
    return _convert(scheduler, output, sample, levels[0]), levels[0], levels[1]


def _flow(scheduler: Any, output: Tensor, sample: Tensor, per_token: Tensor | None) -> Prediction:
    now, after = (float(scheduler.sigmas[scheduler.step_index + i]) for i in (0, 1))
    sample = sample.float()
    if scheduler.config.get("invert_sigmas", False):  # Mochi: sigma is the share of the clean sample
        return sample + (1 - now) * output, NoiseLevel(now, 1 - now), NoiseLevel(after, 1 - after)
    if per_token is not None:  # then the step goes in the direction of the output, not against it
        output, now_of = -output, (per_token / scheduler.config.num_train_timesteps)[..., None]
        return sample - now_of * output, NoiseLevel(1 - now, now), NoiseLevel(1 - after, after)
    clean = sample - now * output
    if float(scheduler.sigmas.max()) > 1:  # Cosmos 2 takes the same steps, but adds noise to the whole sample
        return clean, NoiseLevel(1.0, now), NoiseLevel(1.0, after)
    return clean, NoiseLevel(1 - now, now), NoiseLevel(1 - after, after)


def _exploding(scheduler: Any, output: Tensor, sample: Tensor, sigma: float) -> Tensor:
    sample = sample.float()
    if hasattr(scheduler, "precondition_outputs"):
        return scheduler.precondition_outputs(sample, output, sigma)
    match scheduler.config.prediction_type:
        case "epsilon":
            return sample - sigma * output
        case "v_prediction":
            return sample / (sigma**2 + 1) - sigma / (sigma**2 + 1) ** 0.5 * output
    return output


def _preserving(scheduler: Any, output: Tensor, time: int, sample: Tensor) -> Prediction:
    config, products = scheduler.config, scheduler.alphas_cumprod
    before = _time_after(scheduler, time)
    last = 1.0 if "DDPM" in type(scheduler).__name__ else getattr(scheduler, "final_alpha_cumprod", 1.0)
    kept = (float(products[time]), float(products[before] if before >= 0 else last))
    now, after = (NoiseLevel(part**0.5, max(0.0, 1 - part) ** 0.5) for part in kept)
    if output.shape[1] == 2 * sample.shape[1] and getattr(scheduler, "variance_type", "").startswith("learned"):
        output = output[:, : sample.shape[1]]
    match config.prediction_type:
        case "epsilon":
            clean = (sample - now.sigma * output) / now.alpha
        case "v_prediction":
            clean = now.alpha * sample - now.sigma * output
        case _:
            clean = output
    kind = type(scheduler).__name__
    if kind not in NEVER_CLIPS:
        clean = _clipped(scheduler, clean)
    if kind == "LCMScheduler":
        skip, out = scheduler.get_scalings_for_boundary_condition_discrete(time)
        clean = out * clean + skip * sample
    return clean, now, after


def _clipped(scheduler: Any, clean: Tensor) -> Tensor:
    """Return the clean sample within the range that the scheduler's settings ask for."""
    config = scheduler.config
    if config.get("thresholding", False):
        return scheduler._threshold_sample(clean)
    if config.get("clip_sample", False):
        return clean.clamp(-config.clip_sample_range, config.clip_sample_range)
    return clean


def _time_after(scheduler: Any, time: int) -> int:
    """Return the timestep to which the step leads; -1 after the last one."""
    kind = type(scheduler).__name__
    if kind == "LCMScheduler":
        place = scheduler.step_index + 1
        return int(scheduler.timesteps[place]) if place < len(scheduler.timesteps) else -1
    if "DDPM" in kind:
        return int(scheduler.previous_timestep(time))
    return time - scheduler.config.num_train_timesteps // scheduler.num_inference_steps


def _converted(scheduler: Any, index: int) -> NoiseLevel:
    alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[index])
    return NoiseLevel(float(alpha), float(sigma))


def _convert(scheduler: Any, output: Tensor, sample: Tensor, now: NoiseLevel) -> Tensor:
    """Return the clean sample; an algorithm that works on noise returns the predicted noise."""
    found = scheduler.convert_model_output(output, sample=sample)
    clean = getattr(scheduler, "predict_x0", True) and "++" in getattr(scheduler.config, "algorithm_type", "++")
    return found if clean else (sample - now.sigma * found) / now.alpha
