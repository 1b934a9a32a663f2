"""Losses of reinforcement learning on the forward process: DiffusionNFT, and advantage-weighted matching (AWM).

Both train on noised samples as pretraining does, so that they need neither a stochastic sampler nor its steps. Latents
are (samples, …); those of several times of a sample are rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from avreward.errors import unknown_name
from avreward.generators.flow_steps import noisy_latents
from avreward.training.generator.policy_loss import check_advantages

Side = Literal["all", "binary", "positive_only", "negative_only", "one_only"]
TimeWeight = Literal["uniform", "t", "t²", "huber", "ghuber"]
_EPS = 1e-10


@dataclass(frozen=True)
class ForwardLoss:
    """A loss on the forward process.

    Attributes:
        loss: a scalar with a gradient: `policy` plus the weighted `kl`.
        policy: the part that follows the advantages.
        kl: mean squared distance from the frozen network's velocity, a scalar; 0 without one.
        parts: what `policy` is made of: name → (samples,).
    """

    loss: Tensor
    policy: Tensor
    kl: Tensor
    parts: dict[str, Tensor]


def nft_loss(
    velocity: Tensor,
    old_velocity: Tensor,
    clean: Tensor,
    noise: Tensor,
    times: Tensor,
    advantages: Tensor,
    *,
    reference: Tensor | None = None,
    beta: float = 1.0,
    kl_weight: float = 1e-4,
    largest_advantage: float = 5.0,
    side: Side = "all",
) -> ForwardLoss:
    """Return the loss of DiffusionNFT (arXiv:2509.16117, equation 5).

    The velocity is pulled towards good samples, and an implicit negative one, mirrored at the old velocity, towards
    bad ones: with v⁺ = β·v + (1 − β)·v_old, v⁻ = (1 + β)·v_old − β·v and r = clip(A / 2A_max + ½, 0, 1), it is
    mean(A_max·(r·e(v⁺) + (1 − r)·e(v⁻)) / β). The error e is the squared error of the clean latents that a velocity
    predicts, divided by their mean absolute error.

    Args:
        velocity: of the trained network on the noised samples, (samples, …).
        old_velocity: of the network that drew the samples: a moving average of the trained one.
        clean: the samples' latents.
        noise: what they were mixed with.
        times: noise levels in (0, 1), (samples,).
        advantages: (samples,); clamped to ± `largest_advantage`.
        reference: velocity of the frozen network (*optional*).
        beta: strength of the pull; 0.1 in the paper's OCR recipe.
        kl_weight: of the distance from `reference`.
        largest_advantage: A_max.
        side: which advantages count: all; their signs (``"binary"``); the positive or the negative ones;
            ``"one_only"``: each positive one as 1, others as 0.

    Raises:
        ArgumentError: for an unknown `side`, or advantages that are not finite or too few.
    """
    if side not in get_args(Side):
        raise unknown_name("side", side, get_args(Side))
    check_advantages(advantages, velocity)
    advantages = _sided(advantages.clamp(-largest_advantage, largest_advantage), side)
    share = (advantages / largest_advantage / 2 + 0.5).clamp(0, 1)
    levels = times.to(clean).reshape(-1, *[1] * (clean.ndim - 1))
    noised, old = noisy_latents(clean, noise, times), old_velocity.detach()
    good = _relative_error(noised - levels * (beta * velocity + (1 - beta) * old), clean)
    bad = _relative_error(noised - levels * ((1 + beta) * old - beta * velocity), clean)
    policy = (largest_advantage * (share * good + (1 - share) * bad) / beta).mean()
    kl = _distance(velocity, reference)
    return ForwardLoss(policy + kl_weight * kl, policy, kl, {"positive": good, "negative": bad, "share": share})


def awm_loss(
    velocity: Tensor,
    clean: Tensor,
    noise: Tensor,
    times: Tensor,
    advantages: Tensor,
    *,
    old_velocity: Tensor | None = None,
    reference: Tensor | None = None,
    weighting: TimeWeight = "ghuber",
    power: float = 0.25,
    clip_range: float = 1.0,
    largest_advantage: float = 5.0,
    scaled_to: float | None = 1.0,
    kl_weight: float = 1e-3,
    elbo: bool = False,
    times_per_sample: int = 1,
    per_sample: bool = False,
) -> ForwardLoss:
    """Return the loss of advantage-weighted matching (arXiv:2509.25050).

    The negative error of the velocity, weighted by time, stands for a log-probability in the clipped loss of policy
    gradients.

    Args:
        velocity: of the trained network on the noised samples, (times · samples, …), all samples of the first time
            first.
        clean: the samples' latents.
        noise: what they were mixed with.
        times: noise levels in (0, 1), one a row.
        advantages: (samples,), clamped to ± `largest_advantage`, then multiplied by `scaled_to` / `largest_advantage`.
        old_velocity: of the network before the updates. Default: the present one, whose ratio is 1.
        reference: velocity of the frozen network (*optional*).
        weighting: of an error by its time t, see `time_weighted`.
        power: of ``"ghuber"``.
        clip_range: of the ratio.
        largest_advantage: limit of the advantages.
        scaled_to: what the largest advantage becomes; `None`: it stays.
        kl_weight: of the distance from `reference`.
        elbo: divide that distance by twice the variance of Flow-GRPO's step.
        times_per_sample: how many rows each sample has.
        per_sample: average log-probabilities over a sample's times before the ratio is taken.

    Raises:
        ArgumentError: as `nft_loss`.
    """
    check_advantages(advantages, velocity[: len(velocity) // times_per_sample])
    advantages = advantages.clamp(-largest_advantage, largest_advantage)
    if scaled_to is not None:
        advantages = advantages * (scaled_to / largest_advantage)
    target = noise - clean
    log_prob = time_weighted(_error(velocity, target), times.to(velocity), weighting, power)
    before = velocity if old_velocity is None else old_velocity
    old = time_weighted(_error(before.detach(), target), times.to(velocity), weighting, power)
    change = (log_prob - old).reshape(times_per_sample, -1)
    ratio = (change.mean(0, keepdim=True) if per_sample else change).exp()
    policy = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)).mean()
    kl = _distance(velocity, reference, times if elbo else None)
    return ForwardLoss(policy + kl_weight * kl, policy, kl, {"log_prob": log_prob, "old_log_prob": old})


def time_weighted(error: Tensor, times: Tensor, weighting: TimeWeight = "ghuber", power: float = 0.25) -> Tensor:
    """Return what stands for a log-probability in AWM: minus the error e of a velocity, weighted by its time t.

    ``"uniform"``: −e; ``"t"``: −e·t; ``"t²"``: −e·t²; ``"huber"``: −(√(e + 1e-10) − 1e-5)·t; ``"ghuber"``:
    −((e + 1e-10)^p − 1e-10^p)·t / p.

    Raises:
        ArgumentError: for another weighting.
    """
    if weighting not in get_args(TimeWeight):
        raise unknown_name("weighting", weighting, get_args(TimeWeight))
    if weighting == "huber":
        return -((error + _EPS).sqrt() - _EPS**0.5) * times
    if weighting == "ghuber":
        return -((error + _EPS) ** power - _EPS**power) * times / power
    return -error * {"uniform": torch.ones_like(times), "t": times, "t²": times**2}[weighting]


def _sided(advantages: Tensor, side: Side) -> Tensor:
    if side == "positive_only":
        return advantages.clamp_min(0)
    if side == "negative_only":
        return advantages.clamp_max(0)
    if side == "one_only":
        return (advantages > 0).to(advantages.dtype)
    return advantages.sign() if side == "binary" else advantages


def _relative_error(found: Tensor, clean: Tensor) -> Tensor:
    """Return the mean squared error of each sample over its mean absolute error, which passes no gradient."""
    away = found - clean
    width = away.detach().double().abs().flatten(1).mean(1).clamp_min(1e-5).to(away.dtype)
    return (away**2).flatten(1).mean(1) / width


def _error(velocity: Tensor, target: Tensor) -> Tensor:
    return ((velocity.double() - target.double()) ** 2).flatten(1).mean(1).to(velocity.dtype)


def _distance(velocity: Tensor, reference: Tensor | None, times: Tensor | None = None) -> Tensor:
    if reference is None:
        return velocity.new_zeros(())
    squares = ((velocity - reference.detach()) ** 2).flatten(1).mean(1)
    if times is not None:
        variance = 0.49 * times / (1 - times.clamp_max(0.99))
        squares = squares / (2 * variance.to(squares))
    return squares.mean()
