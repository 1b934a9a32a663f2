"""Gradients of a loss over a whole batch, whatever parts and processes it is computed in.

A correlation or a ranking is not a mean over clips: over parts of a batch it has another value. So the scores of all
parts are computed first, without a graph; the loss over all of them gives the gradient of each score; and each part is
then run again with a graph, from which the gradient of its own scores goes back (GradCache, arXiv:2101.06983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avreward.training.rater._batches import Batch
from avreward.training.rater._objective import Objective

TENSORS = ("ratings", "group", "outcome", "margin")


@dataclass(frozen=True)
class BatchGradients:
    """The loss of a batch, and its gradients.

    Attributes:
        loss: over all parts of all processes.
        scores: the gradient of each own part's scores.
        numbers: the gradient of each trained number of the objective.
        undefined: why the batch has no loss, `None` if it has; then all gradients are 0.
    """

    loss: Tensor
    scores: Sequence[Tensor]
    numbers: Sequence[Tensor]
    undefined: str | None = None


def batch_gradients(objective: Objective, scores: Sequence[Tensor], batches: Sequence[Batch]) -> BatchGradients:
    """Return the loss over the parts of all processes, and the gradients of this process's own.

    Args:
        objective: the loss.
        scores: of each part, detached.
        batches: the parts.
    """
    own = [
        {"scores": part.detach().cpu(), **{name: batch[name].cpu() for name in TENSORS}}
        for part, batch in zip(scores, batches, strict=True)
    ]
    everyone = _gathered(own)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    # Parts in the order in which one process would see them: first those of all processes at one step.
    parts = [each[step] for step in range(len(own)) for each in everyone]
    whole = {name: torch.cat([part[name] for part in parts]) for name in TENSORS}
    joined = torch.cat([part["scores"] for part in parts]).requires_grad_()
    numbers = [number for number in objective.parameters() if number.requires_grad]
    problem = objective.undefined(whole)
    if problem is not None:
        none = [torch.zeros_like(number) for number in numbers]
        return BatchGradients(joined.new_zeros(()), [torch.zeros_like(part) for part in scores], none, problem)
    device = scores[0].device
    with torch.enable_grad():
        loss = objective(joined.to(device), {name: value.to(device) for name, value in whole.items()})
        slope, *others = torch.autograd.grad(loss, [joined, *numbers], allow_unused=True)
    pieces = slope.split([len(part["scores"]) for part in parts])
    mine = [pieces[step * len(everyone) + rank].to(part) for step, part in enumerate(scores)]
    filled = [torch.zeros_like(n) if o is None else o for n, o in zip(numbers, others, strict=True)]
    return BatchGradients(loss.detach(), mine, filled)


def _gathered(own: list[dict[str, Tensor]]) -> list[list[dict[str, Tensor]]]:
    """Return what each process has, in the order of their ranks."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return [own]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, own)
    return found
