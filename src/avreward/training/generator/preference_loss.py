"""Diffusion-DPO: a loss on pairs of samples, for noise predictions and for velocities of flow matching."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, Described


@dataclass(frozen=True)
class PreferenceLoss:
    """A loss on pairs.

    Attributes:
        loss: a scalar with a gradient; log 2 while the network is its reference.
        logits: what the loss is −log sigmoid of, (pairs,).
        accuracy: share of pairs whose logit is positive, a scalar.
        error: mean squared error of the network's predictions, a scalar.
        reference_error: the same of the reference.
    """

    loss: Tensor
    logits: Tensor
    accuracy: Tensor
    error: Tensor
    reference_error: Tensor


def diffusion_dpo_loss(
    prediction: Tensor, reference: Tensor, target: Tensor, *, beta: float = 5000.0
) -> PreferenceLoss:
    """Return the loss of Diffusion-DPO (arXiv:2311.12908, equation 14), the mean over pairs.

    With the mean squared error e of a prediction over the entries of a sample, it is
    −log sigmoid(−½·β·((e_w − e_l) − (ref_w − ref_l))). The two samples of a pair share noise and time step. With
    velocities as predictions it is the form of Flow-GRPO's repository, whose β is 100.

    Args:
        prediction: of the trained network, (2 · pairs, …): all preferred samples, then all rejected ones in the same
            order.
        reference: of the frozen network, of the same shape.
        target: noise, or noise less clean latents for velocities, of the same shape.
        beta: weight of the divergence from the reference; independent of the latents' size.

    Raises:
        ArgumentError: if the shapes differ or the number of rows is odd.

    Example:
        >>> x, target = torch.randn(4, 3), torch.randn(4, 3)
        >>> round(float(diffusion_dpo_loss(x, x, target).loss), 4)  # log 2
        0.6931
    """
    if prediction.shape != reference.shape or prediction.shape != target.shape or len(prediction) % 2:
        given = Described(f"{tuple(prediction.shape)}, {tuple(reference.shape)}, {tuple(target.shape)}")
        raise ArgumentError("prediction", "a shape like that of reference and target, with two rows a pair", given)
    errors = ((prediction - target) ** 2).flatten(1).mean(1)
    reference_errors = ((reference - target) ** 2).flatten(1).mean(1).detach()
    (won, lost), (reference_won, reference_lost) = errors.chunk(2), reference_errors.chunk(2)
    logits = -0.5 * beta * ((won - lost) - (reference_won - reference_lost))
    return PreferenceLoss(
        -F.logsigmoid(logits).mean(),
        logits,
        (logits.detach() > 0).float().mean(),
        errors.detach().mean(),
        reference_errors.mean(),
    )


def logit_normal_times(
    rows: int, *, mean: float = 0.0, deviation: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Draw noise levels in (0, 1) whose logits are normal, (rows,): the times of flow matching (arXiv:2403.03206)."""
    return torch.sigmoid(mean + deviation * torch.randn(rows, generator=generator))
