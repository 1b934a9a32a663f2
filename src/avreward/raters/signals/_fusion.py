"""From measurements to the papers' dimensions, 0 … 100, with constants fitted on synthesized scenes.

A measurement m has a penalty w·softplus((±φ(m) − r)/s), φ being its `form`: none while it is good, growing steadily as
it gets worse. A dimension is 100/(1 + sum of its penalties): 100 without a defect, never flat, so gradients stay.
`overall` does the same with the dimensions' summed penalties, averaged with fitted weights over those the clip has.
The constants come from ``recipes/fit_signals.py``; 90, 70, 50 and 30 stand for a scene as it was made and with a mild,
medium and strong defect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from avreward.raters.signals._measurement import MEASUREMENTS, Measurement, feeding

DIMENSIONS = ("audio_quality", "av_consistency", "static_quality", "temporal_smoothness", "dynamic_degree")


@dataclass(frozen=True)
class Constants:
    """One measurement's fitted constants: penalty = `weight`·softplus((badness − `reference`)/`scale`)."""

    weight: float
    reference: float
    scale: float


@dataclass(frozen=True)
class Fusion:
    """The fitted constants: of each measurement, and each dimension's weight in `overall`; `made_by` says how."""

    constants: Mapping[str, Constants]
    overall: Mapping[str, float]
    made_by: str = ""

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Fusion:
        """Return the constants stored in the layout of ``fusion.json``."""
        return cls(
            {name: Constants(**c) for name, c in stored["measurements"].items()},
            dict(stored["overall"]),
            stored.get("made_by", ""),
        )

    def penalty(self, measurement: Measurement, value: Tensor) -> Tensor:
        """Return the penalty of one measurement; the score of its dimension is 100/(1 + sum of penalties)."""
        c = self.constants[measurement.name]
        return c.weight * torch.nn.functional.softplus((badness(measurement, value) - c.reference) / c.scale)

    def fuse(self, values: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return the dimensions' scores that `values` (measurement → scalar) allows, and the parts of `overall`."""
        penalties: dict[str, Tensor] = {}
        for dimension in DIMENSIONS:
            parts = feeding(dimension)
            if all(m.name in values for m in parts):
                penalties[dimension] = torch.stack([self.penalty(m, values[m.name]) for m in parts]).sum()
        scores = {name: 100 / (1 + p) for name, p in penalties.items()}
        basis = tuple(name for name in penalties if self.overall.get(name, 0) > 0)
        if basis:
            total = torch.stack([self.overall[name] * penalties[name] for name in basis]).sum()
            scores["overall"] = 100 / (1 + total / sum(self.overall[name] for name in basis))
        return scores, basis


def badness(measurement: Measurement, value: Tensor) -> Tensor:
    """Return the measurement in the form of the fusion, with a sign such that more is worse."""
    if measurement.form == "log":
        # negative rounding residue of a figure that can't be negative must not reach the logarithm
        value = torch.log(torch.nn.functional.softplus(value / measurement.offset, beta=4) * measurement.offset
                          + measurement.offset)  # fmt: skip
    return -value if measurement.higher_is_better else value


@cache
def shipped() -> Fusion:
    """Return the constants that come with the package."""
    return Fusion.from_dict(json.loads(files(__package__).joinpath("fusion.json").read_text()))


def fused_names() -> tuple[str, ...]:
    """Return the names of the measurements that are fused into a dimension."""
    return tuple(m.name for m in MEASUREMENTS if m.feeds)
