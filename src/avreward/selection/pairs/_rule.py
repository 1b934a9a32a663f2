"""The rule by which preference pairs are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from avreward.errors import ArgumentError, Described, unknown_name

Which = Literal["best_worst", "all"]
WHICH: tuple[Which, ...] = ("best_worst", "all")


@dataclass(frozen=True)
class PairRule:
    """The rule by which `make_pairs` makes pairs.

    Args:
        which: ``"best_worst"`` makes one pair per group, with the largest margin that the other conditions allow;
            ``"all"`` makes every pair.
        margin: the reward of the chosen clip exceeds that of the rejected one by more than this.
        sigmas: the reward also exceeds it by more than this many standard errors √(σ₁² + σ₂²) of the difference
            (*optional*). A pair without σ is left out.
        match: covariates in which both clips must be similar: ``seconds``, ``loudness``, ``motion``, ``size`` →
            tolerance (a share; for loudness LU), or `None` for the default. Pairs are then dropped until the remaining
            differences are balanced.
        dimensions: columns in which the chosen clip should not be worse; larger is better.
        conflicts: for a pair whose chosen clip is worse in one of them: ``"keep"`` lists the columns with the pair,
            ``"drop"`` leaves the pair out, also if a score is missing.
        test: share of the groups whose pairs are for testing, from 0 to below 1.
        seed: of the split.

    Raises:
        UnknownNameError: if `which` or `conflicts` is not one of its names.
        ArgumentError: if another argument is out of its range.
    """

    which: Which = "best_worst"
    margin: float = 0.0
    sigmas: float | None = None
    match: Mapping[str, float | None] = field(default_factory=dict)
    dimensions: Sequence[str] = ()
    conflicts: Literal["keep", "drop"] = "keep"
    test: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("which", WHICH), ("conflicts", ("keep", "drop"))):
            if getattr(self, name) not in known:
                raise unknown_name(name, getattr(self, name), known)
        for name in ("margin", "sigmas"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ArgumentError(name, "a number of at least 0", value)
        if not 0 <= self.test < 1:
            raise ArgumentError("test", "a share of the groups from 0 to below 1", self.test)
        if self.conflicts == "drop" and not self.dimensions:
            remedy = "name the dimensions that must not contradict the reward"
            raise ArgumentError("dimensions", 'at least one with conflicts="drop"', Described("none"), remedy)
