"""Steps of DDIM with noise, and the log-probability of the next latents."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.generators.flow_steps import StochasticStep, level_rows, normal_step

Prediction = Literal["epsilon", "v_prediction", "sample"]


def ddim_sde_step(
    latents: Tensor,
    output: Tensor,
    alpha: Tensor | float,
    next_alpha: Tensor | float,
    *,
    eta: float = 1.0,
    prediction: Prediction = "epsilon",
    clip: float | None = None,
    clipped_noise: bool = False,
    noise: Tensor | None = None,
    sample: Tensor | None = None,
) -> StochasticStep:
    """Take DDPO's stochastic step (arXiv:2305.13301), a DDIM step with noise (arXiv:2010.02502, equation 12).

    With the variance σ² = (1 − a') / (1 − a) · (1 − a / a'), the standard deviation is `eta`·σ and the mean
    √a'·x₀ + √(1 − a' − eta²·σ²)·ε.

    Args:
        latents: (rows, …).
        output: of the network, (rows, …).
        alpha: cumulative product of the alphas at this step, a number or (rows,): `alphas_cumprod` of a scheduler.
        next_alpha: the same after the step.
        eta: share of the noise of DDPM; 0 makes a deterministic step.
        prediction: what the network predicts.
        clip: largest absolute value of the predicted clean latents (*optional*).
        clipped_noise: whether ε is computed again from clipped clean latents.
        noise: standard normal, (rows, …); one of `noise` and `sample` is needed.
        sample: next latents that were drawn before: their log-probability is computed.

    Raises:
        ArgumentError: for an unknown `prediction`, a step towards more noise, or if not exactly one of `noise` and
            `sample` is given.

    Example:
        >>> x = torch.ones(1, 2)
        >>> step = ddim_sde_step(x, torch.zeros(1, 2), 0.25, 0.64, noise=torch.zeros(1, 2))
        >>> step.mean
        tensor([[1.6000, 1.6000]])
    """
    if prediction not in get_args(Prediction):
        raise unknown_name("prediction", prediction, get_args(Prediction))
    alpha, next_alpha = level_rows(alpha, latents, "alpha"), level_rows(next_alpha, latents, "next_alpha")
    if not bool(((alpha > 0) & (alpha <= next_alpha) & (next_alpha <= 1)).all()):
        got = Described(f"{alpha.flatten().tolist()} and {next_alpha.flatten().tolist()}")
        raise ArgumentError("next_alpha", "0 < alpha <= next_alpha <= 1", got, "steps go towards less noise")
    clean, eps = _split(latents, output, alpha, prediction)
    if clip is not None:
        clean = clean.clamp(-clip, clip)
        if clipped_noise:
            eps = (latents - alpha.sqrt() * clean) / (1 - alpha).sqrt()
    scale = eta * ((1 - next_alpha) / (1 - alpha) * (1 - alpha / next_alpha)).sqrt()
    mean = next_alpha.sqrt() * clean + (1 - next_alpha - scale**2).clamp_min(0).sqrt() * eps
    return normal_step(mean, scale, scale, noise, sample)


def _split(latents: Tensor, output: Tensor, alpha: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Return clean latents and noise."""
    signal, noise = alpha.sqrt(), (1 - alpha).sqrt()
    if prediction == "epsilon":
        return (latents - noise * output) / signal, output
    if prediction == "sample":
        return output, (latents - signal * output) / noise
    return signal * latents - noise * output, signal * output + noise * latents
