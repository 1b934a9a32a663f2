"""The clipped loss of policy gradients on denoising steps (DDPO, Flow-GRPO), and its KL term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described


@dataclass(frozen=True)
class PolicyLoss:
    """A loss of policy gradients.

    Attributes:
        loss: a scalar with a gradient.
        approx_kl: half the mean square of the change of log-probabilities, a scalar.
        clipped: share of samples outside the clip range, a scalar.
    """

    loss: Tensor
    approx_kl: Tensor
    clipped: Tensor


def clipped_policy_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    *,
    clip_range: float = 1e-4,
    largest_advantage: float = 5.0,
) -> PolicyLoss:
    """Return mean(max(−A·r, −A·clip(r, 1 − c, 1 + c))) with the ratio r of new to old probability (arXiv:1707.06347).

    The default range suits log-probabilities that are means over the entries of latents, as those of `StochasticStep`.

    Args:
        log_prob: of the present network, (samples,), with a gradient.
        old_log_prob: of the network that drew the samples, (samples,).
        advantages: (samples,); clamped to ± `largest_advantage`.
        clip_range: c.
        largest_advantage: limit of the advantages.

    Raises:
        ArgumentError: if the shapes differ or an advantage is not finite.

    Example:
        >>> same = torch.zeros(2)
        >>> clipped_policy_loss(same, same, torch.tensor([1.0, -3.0])).loss
        tensor(1.)
    """
    check_advantages(advantages, log_prob)
    advantages = advantages.clamp(-largest_advantage, largest_advantage)
    ratio = (log_prob - old_log_prob).exp()
    loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip_range, 1 + clip_range)).mean()
    change = (log_prob - old_log_prob).detach()
    return PolicyLoss(loss, 0.5 * (change**2).mean(), ((ratio.detach() - 1).abs() > clip_range).float().mean())


def step_kl(mean: Tensor, reference: Tensor, deviation: Tensor) -> Tensor:
    """Return the KL divergence of two steps with equal deviations, a mean over entries and samples.

    Args:
        mean: of the present network's step, (samples, …).
        reference: mean of the frozen network's step, (samples, …).
        deviation: (samples,). Flow-GRPO's published code takes `StochasticStep.diffusion`; the divergence itself has
            `StochasticStep.scale`.
    """
    squares = ((mean - reference) ** 2).flatten(1)
    return (squares / (2 * deviation[:, None] ** 2)).mean()


def routed_policy_loss(
    log_probs: Mapping[str, Tensor],
    old_log_probs: Mapping[str, Tensor],
    advantages: Mapping[str, Tensor],
    *,
    weights: Mapping[str, float] | None = None,
    clip_range: float = 1e-4,
    largest_advantage: float = 5.0,
) -> dict[str, PolicyLoss]:
    """Return the loss of each stream, from its own log-probabilities and advantages.

    Streams count by `weights`, not by how many entries their latents have, so that the small latents of audio count as
    much as those of video.

    Args:
        log_probs: stream → (samples,).
        old_log_probs: the same of the network that drew the samples.
        advantages: stream → (samples,), as `stream_advantages` returns them; a stream without any gets no loss.
        weights: stream → weight; 1 by default.
        clip_range: of the ratios, as in `clipped_policy_loss`.
        largest_advantage: limit of the advantages.

    Raises:
        ArgumentError: if there are advantages of a stream without log-probabilities.
    """
    found = {}
    for stream, own in advantages.items():
        if stream not in log_probs:
            known = ", ".join(log_probs)
            raise ArgumentError("advantages", f"streams that the generator makes ({known})", stream)
        weight = 1.0 if weights is None else weights.get(stream, 1.0)
        loss = clipped_policy_loss(
            log_probs[stream], old_log_probs[stream], own, clip_range=clip_range, largest_advantage=largest_advantage
        )
        found[stream] = PolicyLoss(weight * loss.loss, loss.approx_kl, loss.clipped)
    return found


def check_advantages(advantages: Tensor, like: Tensor) -> None:
    """Raise `ArgumentError` if advantages are not finite, or not one for each row of `like`."""
    if advantages.shape != like.shape[:1]:
        given = Described(f"shape {tuple(advantages.shape)}")
        raise ArgumentError("advantages", f"one for each of {len(like)} samples", given)
    if not bool(advantages.isfinite().all()):
        at = int((~advantages.isfinite()).nonzero()[0])
        raise ArgumentError("advantages", "finite numbers", float(advantages[at]), f"leave out sample {at}")
