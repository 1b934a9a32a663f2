"""The network of a student: an ensemble of small networks on standardized features, and its uncertainty."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.raters.listener.head import FeatureHead


class StudentHead(FeatureHead):
    """An ensemble of small networks: a line and a hidden layer each, on ``z = asinh((x − c) / s)``.

    Member m gives ``w_m · z + u_m · tanh(H_m z + h_m) + b_m``; the score is ``center + scale · mean``, and its standard
    deviation ``scale · √(a + b · variance of the members)``, where a and b are fitted to errors on held-out groups. The
    disagreement of members grows away from the clips that they were trained on (Lakshminarayanan et al., "Simple and
    scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017).

    Args:
        features: number of features x.
        members: number of networks.
        hidden: width of their hidden layers.
    """

    mask: Tensor
    middle: Tensor
    spread: Tensor
    scaling: Tensor
    doubt: Tensor

    def __init__(self, features: int, members: int = 5, hidden: int = 16) -> None:
        super().__init__()
        if not (features > 0 and members > 1 and hidden > 0):
            raise ArgumentError("features", "positive numbers, and two members or more", (features, members, hidden))
        self.line = torch.nn.Parameter(torch.zeros(members, features))
        self.inner = torch.nn.Parameter(torch.zeros(members, hidden, features))
        self.offset = torch.nn.Parameter(torch.zeros(members, hidden))
        self.outer = torch.nn.Parameter(torch.zeros(members, hidden))
        self.bias = torch.nn.Parameter(torch.zeros(members))
        self.register_buffer("mask", torch.ones(features))  # 0 for what some training clip lacks
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("scaling", torch.tensor([0.0, 1.0]))  # center and scale of the scores
        self.register_buffer("doubt", torch.tensor([0.0, 1.0]))  # a and b

    def members_of(self, features: Tensor) -> Tensor:
        """Return the standardized scores of all members (members, clips) for x (clips, features)."""
        z = torch.asinh((features - self.middle.to(features)) / self.spread.to(features)) * self.mask.to(features)
        hidden = torch.tanh(torch.einsum("cf,mhf->mch", z, self.inner.to(z)) + self.offset.to(z)[:, None])
        bent = (hidden * self.outer.to(z)[:, None]).sum(-1)
        return torch.einsum("cf,mf->mc", z, self.line.to(z)) + bent + self.bias.to(z)[:, None]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and their standard deviations, each (clips,), for x (clips, features)."""
        found = self.members_of(features)
        center, scale = self.scaling.to(found)
        fixed, moving = self.doubt.to(found)
        return center + scale * found.mean(0), scale * (fixed + moving * found.var(0)).sqrt()

    @property
    def used(self) -> Tensor:
        """Which features the scores depend on: bool (features,)."""
        return self.mask > 0
