"""Latents of any noise schedule in the coordinates of flow matching, and a network's prediction as a velocity.

A schedule that preserves variance mixes x = α·x₀ + s·ε with α² + s² = 1. Divided by α + s, these latents are
(1 − σ)·x₀ + σ·ε with σ = s / (α + s), and an Euler step of the flow is a DDIM step (arXiv:2010.02502, equation 12).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.generators.flow_steps import level_rows

PRESERVING = ("DDIMScheduler", "CogVideoXDDIMScheduler", "CogVideoXDPMScheduler")
PRECONDITIONED = ("EDMDPMSolverMultistepScheduler", "CosineDPMSolverMultistepScheduler")
SCHEDULERS = ("FlowMatchEulerDiscreteScheduler", *PRESERVING, *PRECONDITIONED)


class Coordinates(Protocol):
    """What a scheduler's latents and network outputs are in the coordinates of flow matching."""

    def planned(self, scheduler: Any) -> list[float]:
        """Return the noise levels of a scheduler whose steps are set, ending at 0."""

    def times(self, sigma: Tensor) -> Tensor:
        """Return the timesteps that the network gets at noise levels (rows,)."""

    def shown(self, latents: Tensor, sigma: Tensor | float) -> Tensor:
        """Return the network's input for latents (rows, …)."""

    def latents(self, sample: Tensor, sigma: float) -> Tensor:
        """Return the latents of a scheduler's sample (rows, …)."""

    def velocity(self, latents: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        """Return the velocity of a network's output at noise levels (rows,)."""


class FlowCoordinates:
    """Flow matching itself."""

    def __init__(self, scheduler: Any) -> None:
        self._steps = scheduler.config.num_train_timesteps

    def planned(self, scheduler: Any) -> list[float]:
        """Return the scheduler's noise levels."""
        return [float(sigma) for sigma in scheduler.sigmas]

    def times(self, sigma: Tensor) -> Tensor:
        """Return σ times the number of training timesteps."""
        return sigma * self._steps

    def shown(self, latents: Tensor, sigma: Tensor | float) -> Tensor:
        """Return the latents."""
        return latents

    def latents(self, sample: Tensor, sigma: float) -> Tensor:
        """Return the sample."""
        return sample

    def velocity(self, latents: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        """Return the output."""
        return output


class PreservingCoordinates:
    """A schedule that preserves variance, whose network predicts noise, v or the clean sample.

    Preconditioning by Karras et al. (arXiv:2206.00364) with a data deviation of 1 is the same with other timesteps.
    """

    def __init__(self, scheduler: Any) -> None:
        self._prediction = scheduler.config.prediction_type
        self._scheduler = scheduler if type(scheduler).__name__ in PRECONDITIONED else None
        if self._scheduler is None:
            kept = scheduler.alphas_cumprod.double().cpu()
            self._levels = _level(kept.sqrt(), (1 - kept).sqrt())
        else:
            largest = scheduler.config.sigma_max
            self._levels = torch.tensor([0.0, largest / (1 + largest)], dtype=torch.float64)

    def planned(self, scheduler: Any) -> list[float]:
        """Return the noise levels at the scheduler's timesteps, and 0, where the clean sample is."""
        if self._scheduler is None:
            return [*self._levels[scheduler.timesteps.cpu().long()].tolist(), 0.0]
        own = scheduler.sigmas[: len(scheduler.timesteps)].double()
        return [*(own / (1 + own)).tolist(), 0.0]

    def times(self, sigma: Tensor) -> Tensor:
        """Return timesteps, between two of the training's where a level lies between theirs."""
        levels = sigma.detach().double().cpu().clamp(max=float(self._levels[-1]))
        if self._scheduler is not None:
            levels = levels.clamp(min=1e-6)
            times = self._scheduler.precondition_noise(levels / (1 - levels))
        else:
            above = torch.searchsorted(self._levels, levels).clamp(1, len(self._levels) - 1)
            low, high = self._levels[above - 1], self._levels[above]
            times = above - 1 + ((levels - low) / (high - low)).clamp(0, 1)
            whole = times.round()  # float32 levels of the scheduler's own timesteps give these timesteps
            times = torch.where((times - whole).abs() < 0.02, whole, times)
        return times.to(sigma)

    def shown(self, latents: Tensor, sigma: Tensor | float) -> Tensor:
        """Return latents with variance 1 where the clean ones have it."""
        alpha, noise = _shares(level_rows(sigma, latents))
        return latents * (alpha + noise)

    def latents(self, sample: Tensor, sigma: float) -> Tensor:
        """Return the latents of the flow; a preconditioned sample is x₀ + σ / (1 − σ)·ε."""
        if self._scheduler is not None:
            return sample * (1 - sigma)
        alpha, noise = _shares(level_rows(sigma, sample))
        return sample / (alpha + noise)

    def velocity(self, latents: Tensor, output: Tensor, sigma: Tensor) -> Tensor:
        """Return predicted noise less predicted clean latents."""
        alpha, noise = _shares(level_rows(sigma, latents))
        x = latents * (alpha + noise)
        if self._prediction == "epsilon":
            return output - (x - noise * output) / alpha.clamp_min(1e-6)
        if self._prediction == "sample":
            return (x - alpha * output) / noise.clamp_min(1e-6) - output
        return (alpha * output + noise * x) - (alpha * x - noise * output)


def coordinates_of(scheduler: Any) -> Coordinates:
    """Return the coordinates of a scheduler.

    Raises:
        ArgumentError: if the scheduler isn't supported, or has settings that a step of the flow does not follow.
    """
    kind = type(scheduler).__name__
    if kind not in SCHEDULERS:
        remedy = "set pipeline.scheduler to one of them"
        raise ArgumentError("scheduler", f"one of {', '.join(SCHEDULERS)}", Described(kind), remedy)
    if kind == SCHEDULERS[0]:
        return FlowCoordinates(scheduler)
    config = scheduler.config
    known = ("v_prediction",) if kind in PRECONDITIONED else ("epsilon", "v_prediction", "sample")
    if config.prediction_type not in known:
        got = Described(f"{kind} with prediction_type={config.prediction_type!r}")
        raise ArgumentError("scheduler", f"one that predicts {' or '.join(known)}", got)
    if kind in PRECONDITIONED and config.sigma_data != 1.0:
        raise ArgumentError("scheduler", "one with sigma_data=1.0", Described(f"sigma_data={config.sigma_data}"))
    clips = [name for name in ("clip_sample", "thresholding") if config.get(name, False)]
    if kind == "DDIMScheduler" and clips:
        remedy = "make it again with from_config(scheduler.config, clip_sample=False, thresholding=False)"
        raise ArgumentError("scheduler", "one that clips nothing", Described(f"{kind} with {clips[0]}"), remedy)
    return PreservingCoordinates(scheduler)


def _level(alpha: Tensor, noise: Tensor) -> Tensor:
    return noise / (alpha + noise)


def _shares(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return α and s of noise levels of the flow."""
    size = ((1 - sigma) ** 2 + sigma**2).sqrt()
    return (1 - sigma) / size, sigma / size
