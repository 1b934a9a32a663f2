"""Fit the network of a student: an ensemble of small networks, and how far it is off on groups that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from avreward.raters.listener._student_head import StudentHead

Numbers = NDArray[np.float64]
Groups = NDArray[np.int64]
MEMBERS, FOLDS, STEPS, RATE = 5, 5, 200, 0.03
DECAYS = (0.001, 0.01, 0.1)  # weight of the squared weights in the loss


def fit_student(
    features: Numbers, scores: Numbers, groups: Groups, usable: Sequence[bool], seed: int = 0
) -> tuple[StudentHead, Numbers]:
    """Return a student's network, and its predictions (clips,) of each group by networks that have not seen it.

    The weight decay is the one with the smallest error in held-out folds of groups; the uncertainty is fitted to the
    errors there.

    Args:
        features: (clips, features); NaN only where not usable.
        scores: the teacher's, (clips,).
        groups: number of each clip's group.
        usable: which features the network may read.
        seed: of folds, starting points and weights of the groups.
    """
    count = int(groups.max()) + 1
    folds = (np.random.default_rng(seed).permutation(count) % FOLDS)[groups]
    generator = torch.Generator().manual_seed(seed)
    each = -torch.log(torch.rand(MEMBERS, count, generator=generator, dtype=torch.float32) + 1e-12)
    weight = each[:, torch.from_numpy(groups)]  # (members, clips): of groups, as in a Bayesian bootstrap
    inside = torch.stack([torch.from_numpy(folds != fold).float() for fold in range(FOLDS)])
    # all of (decays, folds, members) are trained together
    tried = (inside[None, :, None] * weight).expand(len(DECAYS), -1, -1, -1)
    decays = torch.tensor(DECAYS).repeat_interleave(FOLDS * MEMBERS)
    head = _trained(features, scores, usable, tried.reshape(-1, len(scores)), decays, generator)
    with torch.no_grad():
        z = head.members_of(torch.from_numpy(np.nan_to_num(features)).float()).double().numpy()
    z = z.reshape(len(DECAYS), FOLDS, MEMBERS, -1)[:, folds, :, np.arange(len(scores))]  # (clips, decays, members)
    center, scale = head.scaling.tolist()
    unseen = center + scale * z.mean(2)
    best = int(((unseen - scores[:, None]) ** 2).mean(0).argmin())
    head = _trained(features, scores, usable, weight, torch.full((MEMBERS,), DECAYS[best]), generator)
    spread = z[:, best].var(1, ddof=1)
    errors = (unseen[:, best] - scores) ** 2 / scale**2
    doubt, _ = nnls(np.stack([np.ones_like(spread), spread], 1), errors)
    head.doubt = torch.tensor([max(float(doubt[0]), 1e-6), float(doubt[1])])
    return head, unseen[:, best]


def _trained(
    features: Numbers,
    scores: Numbers,
    usable: Sequence[bool],
    weight: Tensor,
    decay: Tensor,
    generator: torch.Generator,
) -> StudentHead:
    """Return networks, one for each row of `weight` (networks, clips) and `decay` (networks,)."""
    head = StudentHead(features.shape[1], len(weight))
    x, y = torch.from_numpy(np.nan_to_num(features)).float(), torch.from_numpy(scores).float()
    with torch.no_grad():
        head.mask.copy_(torch.tensor(usable))
        head.middle.copy_(x.median(0).values)
        head.spread.copy_((x - x.median(0).values).abs().mean(0).clamp(min=1e-6))
        head.scaling.copy_(torch.stack([y.mean(), y.std().clamp(min=1e-9)]))
        for weights in (head.inner, head.outer):
            weights.copy_(torch.randn(weights.shape, generator=generator) / weights.shape[-1] ** 0.5)
    goal = (y - y.mean()) / y.std().clamp(min=1e-9)
    weight = weight / weight.mean(1, keepdim=True)
    optimizer = torch.optim.Adam(head.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            optimizer.zero_grad()
            errors = (weight * (head.members_of(x) - goal).square()).mean(1)
            size = sum(w.square().flatten(1).sum(1) for w in (head.line, head.inner, head.outer))
            (errors + decay * size).sum().backward()
            optimizer.step()
            schedule.step()
    return head.eval().requires_grad_(False)
