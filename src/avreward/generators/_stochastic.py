"""A denoising step that adds fresh noise and keeps the marginal distributions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from avreward.errors import ArgumentError


class NoiseLevel(NamedTuple):
    """How noisy a sample is: ``x = alpha * clean + sigma * noise``. Flow matching has ``alpha = 1 - sigma``."""

    alpha: float
    sigma: float


def stochastic_step(
    x: Tensor, clean: Tensor, now: NoiseLevel, after: NoiseLevel, noise: Tensor, spread: float
) -> Tensor:
    """Step from `x` at level `now` to level `after` with fresh `noise`, so that equal states diverge.

    The predicted clean sample and the predicted noise are mixed for the next level, and a part of the predicted noise
    is replaced by fresh noise of the same variance: Song et al., "Denoising Diffusion Implicit Models"
    (arXiv:2010.02502), equations 12 and 16, written for any pair of alpha and sigma. If the prediction were the true
    clean sample, the result would have the marginal of the next level exactly; with its mean it does so in the limit
    of small steps, as the deterministic sampler does.

    Args:
        x: the noisy sample, of any shape.
        clean: the clean sample predicted at `x`, of the same shape.
        now: the level of noise before the step.
        after: the level of noise after the step; its sigma is smaller.
        noise: standard normal, of the same shape.
        spread: 0 is the deterministic (DDIM, Euler) step; 1 replaces as much as the true reverse process does.

    Raises:
        ArgumentError: if `spread` is not between 0 and 1.

    Example:
        >>> x, zero = torch.ones(1), torch.zeros(1)
        >>> stochastic_step(x, zero, NoiseLevel(0.5, 0.5), NoiseLevel(1.0, 0.0), noise=zero, spread=1.0)
        tensor([0.])
    """
    if not 0 <= spread <= 1:
        raise ArgumentError("spread", "a number between 0 and 1", spread, "pass 1 for the reverse process itself")
    predicted = (x - now.alpha * clean) / now.sigma
    # The variance of the next state given this one and the clean sample, from Gaussians.
    remains = max(0.0, now.sigma**2 - (now.alpha / after.alpha) ** 2 * after.sigma**2)
    fresh = spread * after.sigma / now.sigma * remains**0.5
    kept = max(0.0, after.sigma**2 - fresh**2) ** 0.5
    return after.alpha * clean + kept * predicted + fresh * noise


def row_noise(like: Tensor, generators: list[torch.Generator]) -> Tensor:
    """Draw standard normal noise of the shape of `like`, each part of its rows from its own generator on the CPU."""
    shape = (len(like) // len(generators), *like.shape[1:])
    return torch.cat([torch.randn(shape, generator=own) for own in generators]).to(like.device, like.dtype)
