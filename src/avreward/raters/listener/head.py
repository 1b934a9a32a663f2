"""The head of a rater that was taught: from features to one number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avreward.errors import ArgumentError


class FeatureHead(nn.Module):
    """A network from features x (clips, features) of other raters to scores."""

    @property
    def used(self) -> Tensor:
        """Which features the scores depend on: bool (features,)."""
        raise NotImplementedError


class PreferenceHead(FeatureHead):
    """A sum of weighted features: ``w · z + v · (z² − m)``, where ``z = asinh((P x − c) · (Q x + l) / s)``.

    The inverse hyperbolic sine is linear near the usual values and logarithmic far from them, so that no single feature
    decides alone. The squares let a middle be best. By default Q is 0 and l is 1; otherwise a value is a product of two
    projections, for example of what is heard and what is seen.

    Args:
        features: number of features x.
        parts: number of values z; as many as features unless they are projected.
    """

    projection: Tensor
    center: Tensor
    factor: Tensor
    level: Tensor
    scale: Tensor
    middle: Tensor
    weight: Tensor
    curve: Tensor

    def __init__(self, features: int, parts: int) -> None:
        super().__init__()
        if not features > 0 or not parts > 0:
            raise ArgumentError("features", "a positive number", (features, parts))
        self.register_buffer("projection", torch.zeros(parts, features))
        self.register_buffer("center", torch.zeros(parts))
        self.register_buffer("factor", torch.zeros(parts, features))
        self.register_buffer("level", torch.ones(parts))
        self.register_buffer("scale", torch.ones(parts))
        self.register_buffer("middle", torch.zeros(parts))
        self.register_buffer("weight", torch.zeros(parts))
        self.register_buffer("curve", torch.zeros(parts))

    def parts_of(self, features: Tensor) -> Tensor:
        """Return z (clips, parts) of x (clips, features)."""
        first = features @ self.projection.to(features).T - self.center.to(features)
        second = features @ self.factor.to(features).T + self.level.to(features)
        return torch.asinh(first * second / self.scale.to(features))

    def forward(self, features: Tensor) -> Tensor:
        """Return a number a clip (clips,) for x (clips, features)."""
        parts = self.parts_of(features)
        slopes = parts @ self.weight.to(parts)
        return slopes + (parts.square() - self.middle.to(parts)) @ self.curve.to(parts)

    @property
    def used(self) -> Tensor:
        """Which features the number depends on: bool (features,)."""
        active = (self.weight != 0) | (self.curve != 0)
        return ((self.projection[active] != 0) | (self.factor[active] != 0)).any(0)


def strongest(head: PreferenceHead, names: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
    """Return the parts with the largest weights, of a head whose parts have `names`: (name, weight of a unit of z)."""
    size = torch.maximum(head.weight.abs(), head.curve.abs())
    return [(names[i], float(head.weight[i])) for i in size.argsort(descending=True)[:count].tolist() if size[i] > 0]
