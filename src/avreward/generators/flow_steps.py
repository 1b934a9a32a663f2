"""Steps of flow-matching samplers: stochastic, with the log-probability of the next latents, and deterministic.

Flow matching mixes clean latents x₀ and noise as (1 − σ)·x₀ + σ·noise; a network predicts the velocity noise − x₀, and
a sampler goes from σ = 1 to 0. All functions take latents (rows, …) and noise levels that are numbers or (rows,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described


@dataclass(frozen=True)
class StochasticStep:
    """A step whose result is drawn from a normal distribution.

    Attributes:
        sample: the next latents, (rows, …), without a gradient.
        mean: of their distribution, (rows, …).
        scale: its standard deviation, (rows,).
        diffusion: the diffusion coefficient, (rows,): `scale` without the length of the step. Flow-GRPO divides its
            KL term by it.
        log_prob: mean over the entries of a row of the logarithm of the density at `sample`, (rows,). A mean, so that
            neither the size of the latents nor a clip range depends on the resolution.
    """

    sample: Tensor
    mean: Tensor
    scale: Tensor
    diffusion: Tensor
    log_prob: Tensor


def clean_latents(latents: Tensor, velocity: Tensor, sigma: Tensor | float) -> Tensor:
    """Return the clean latents that a velocity predicts: ``latents - sigma * velocity``."""
    return latents - level_rows(sigma, latents) * velocity


def noisy_latents(clean: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """Return clean latents with noise: ``(1 - sigma) * clean + sigma * noise``."""
    sigma = level_rows(sigma, clean)
    return (1 - sigma) * clean + sigma * noise


def euler_step(latents: Tensor, velocity: Tensor, sigma: Tensor | float, next_sigma: Tensor | float) -> Tensor:
    """Return the latents at `next_sigma`, by one Euler step of the flow."""
    return latents + (level_rows(next_sigma, latents) - level_rows(sigma, latents)) * velocity


def flow_sde_step(
    latents: Tensor,
    velocity: Tensor,
    sigma: Tensor | float,
    next_sigma: Tensor | float,
    *,
    noise_level: float = 0.7,
    largest: float = 0.99,
    noise: Tensor | None = None,
    sample: Tensor | None = None,
) -> StochasticStep:
    """Take Flow-GRPO's stochastic step, whose marginals are those of the flow (arXiv:2505.05470, equation 9).

    With s = `noise_level`·√(σ / (1 − σ)) and dt = σ' − σ, the mean is
    x·(1 + s²·dt / 2σ) + v·(1 + s²·(1 − σ) / 2σ)·dt, and the standard deviation s·√(−dt).

    Args:
        latents: (rows, …).
        velocity: predicted by the network, (rows, …).
        sigma: noise level, greater than 0.
        next_sigma: noise level after the step, smaller than `sigma`.
        noise_level: of the stochastic part; 0 makes an Euler step.
        largest: stands for σ in 1 − σ where σ is 1; the published code takes the second σ of its schedule.
        noise: standard normal, (rows, …); one of `noise` and `sample` is needed.
        sample: next latents that were drawn before, (rows, …): their log-probability is computed.

    Raises:
        ArgumentError: if a step does not go down, or not exactly one of `noise` and `sample` is given.

    Example:
        >>> x, v = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
        >>> step = flow_sde_step(x, v, 0.5, 0.4, noise=torch.zeros(2, 3, 4))
        >>> replay = flow_sde_step(x, v, 0.5, 0.4, sample=step.sample)
        >>> torch.equal(step.log_prob, replay.log_prob)
        True
    """
    sigma, next_sigma = _down(latents, sigma, next_sigma)
    below = 1 - torch.where(sigma == 1, torch.full_like(sigma, largest), sigma)
    diffusion = noise_level * (sigma / below).sqrt()
    dt = next_sigma - sigma
    mean = latents * (1 + diffusion**2 / (2 * sigma) * dt)
    mean = mean + velocity * (1 + diffusion**2 * (1 - sigma) / (2 * sigma)) * dt
    return normal_step(mean, diffusion * (-dt).sqrt(), diffusion, noise, sample)


def dance_sde_step(
    latents: Tensor,
    velocity: Tensor,
    sigma: Tensor | float,
    next_sigma: Tensor | float,
    *,
    noise_level: float = 0.7,
    noise: Tensor | None = None,
    sample: Tensor | None = None,
) -> StochasticStep:
    """Take DanceGRPO's stochastic step (arXiv:2505.07818): the noise does not depend on σ.

    The mean is x + v·dt − ½·η²·score·dt with the score −(x − (1 − σ)·x₀) / σ², the standard deviation η·√(−dt). As
    in the published code, the log-probability is without the terms that normalise the density.

    Args, errors: as in `flow_sde_step`; `noise_level` is η.
    """
    sigma, next_sigma = _down(latents, sigma, next_sigma)
    dt = next_sigma - sigma
    score = -(latents - (1 - sigma) * (latents - sigma * velocity)) / sigma**2
    mean = latents + dt * velocity - 0.5 * noise_level**2 * score * dt
    diffusion = torch.full_like(sigma, noise_level)
    return normal_step(mean, diffusion * (-dt).sqrt(), diffusion, noise, sample, normalised=False)


def ddim_flow_step(
    latents: Tensor,
    velocity: Tensor,
    sigma: Tensor | float,
    next_sigma: Tensor | float,
    *,
    eta: float = 0.0,
    noise: Tensor | None = None,
    sample: Tensor | None = None,
) -> StochasticStep:
    """Take a DDIM step in the coordinates of flow matching; with `eta` 0 it is deterministic.

    With t = σ' and s = σ, the standard deviation is ρ = η·t·√(1 − t²·(1 − s)² / (s²·(1 − t)²)) and the mean
    (1 − t)·x₀ + √(t² − ρ²)·ε. Where ρ is 0, the log-probability is NaN or infinite, and the result is `mean`.

    Args, errors: as in `flow_sde_step`.
    """
    dtype = latents.dtype
    sigma, next_sigma = _down(latents.double(), sigma, next_sigma)
    clean = latents.double() - sigma * velocity.double()
    eps = (latents.double() - (1 - sigma) * clean) / sigma
    kept = (1 - next_sigma**2 * (1 - sigma) ** 2 / (sigma**2 * (1 - next_sigma) ** 2)).clamp_min(0).sqrt()
    scale = eta * next_sigma * kept
    mean = (1 - next_sigma) * clean + (next_sigma**2 - scale**2).clamp_min(0).sqrt() * eps
    if eta == 0 and noise is None and sample is None:
        noise = torch.zeros_like(latents)
    return normal_step(mean.to(dtype), scale.to(dtype), scale.to(dtype), noise, sample)


class DpmSolver:
    """DPM-Solver++ of first or second order for flow matching (arXiv:2211.01095); DiffusionNFT samples with it.

    The first and the last step are DDIM steps. Call it once per step, in order.

    Args:
        order: 1, or 2 (multistep, midpoint).

    Raises:
        ArgumentError: for another order.

    Example:
        >>> solver, x = DpmSolver(), torch.zeros(1, 2)
        >>> for sigma, following in ((1.0, 0.6), (0.6, 0.3), (0.3, 0.0)):
        ...     x = solver(x, torch.ones(1, 2), sigma, following)
        >>> x
        tensor([[-1., -1.]])
    """

    def __init__(self, order: int = 2) -> None:
        if order not in (1, 2):
            raise ArgumentError("order", "1 or 2", order)
        self.order = order
        self._before: tuple[float, Tensor] | None = None

    def __call__(self, latents: Tensor, velocity: Tensor, sigma: float, next_sigma: float) -> Tensor:
        """Return the latents at `next_sigma`."""
        clean, before = latents - sigma * velocity, self._before
        self._before = None if next_sigma == 0 else (sigma, clean)
        if before is None or next_sigma == 0:
            return ddim_flow_step(latents, velocity, sigma, next_sigma).mean
        now, following = _log_snr(sigma), _log_snr(next_sigma)
        direction = clean
        if self.order == 2:
            ratio = (now - _log_snr(before[0])) / (following - now)
            direction = clean + (clean - before[1]) / (2 * ratio)
        return next_sigma / sigma * latents - (1 - next_sigma) * math.expm1(now - following) * direction


def _log_snr(sigma: float) -> float:
    """Logarithm of the signal's share over the noise's; minus infinity at σ = 1, so that a difference from it is 0."""
    return -math.inf if sigma == 1 else math.log(1 - sigma) - math.log(sigma)


def level_rows(level: Tensor | float, like: Tensor, name: str = "sigma") -> Tensor:
    """Return a noise level, called `name` in an error, with as many axes as `like`."""
    level = torch.as_tensor(level, dtype=like.dtype, device=like.device)
    if level.ndim > 1 or (level.ndim and len(level) not in (1, len(like))):
        given = Described(f"shape {tuple(level.shape)}")
        raise ArgumentError(name, f"a number, or one for each of the {len(like)} rows", given)
    return level.reshape(-1, *[1] * (like.ndim - 1))


def _down(latents: Tensor, sigma: Tensor | float, next_sigma: Tensor | float) -> tuple[Tensor, Tensor]:
    sigma, next_sigma = level_rows(sigma, latents), level_rows(next_sigma, latents)
    if not bool((next_sigma < sigma).all()):
        raise ArgumentError("next_sigma", "a smaller noise level than sigma", next_sigma.flatten().tolist())
    return sigma, next_sigma


def normal_step(
    mean: Tensor, scale: Tensor, diffusion: Tensor, noise: Tensor | None, sample: Tensor | None, normalised: bool = True
) -> StochasticStep:
    """Return the step with this mean and standard deviation, whose axes are as many as those of `mean`.

    Raises:
        ArgumentError: if not exactly one of `noise` and `sample` is given.
    """
    if noise is not None and sample is None:
        drawn = (mean + scale * noise).detach()
    elif noise is None and sample is not None:
        drawn = sample.detach()
    else:
        given = Described("neither" if noise is None else "both")
        raise ArgumentError("noise", "exactly one of noise and sample", given)
    density = -((drawn - mean) ** 2) / (2 * scale**2)
    if normalised:
        density = density - scale.log() - 0.5 * math.log(2 * math.pi)
    scale, diffusion = (torch.broadcast_to(x, (len(mean), *x.shape[1:])).flatten() for x in (scale, diffusion))
    return StochasticStep(drawn, mean, scale, diffusion, density.flatten(1).mean(1))
