"""Frames by their numbers, as a rule that another process can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChosenFrames:
    """A rule that gives certain frames, whatever their times: what another rule chose, or a rater."""

    numbers: tuple[int, ...]

    @classmethod
    def of(cls, numbers: Tensor | Sequence[int]) -> ChosenFrames:
        """Return the rule for `numbers`, integers (n,)."""
        return cls(tuple(int(number) for number in numbers))

    def __call__(self, times: Tensor) -> Tensor:
        """Return the frames' numbers; `times` are those of the video."""
        return torch.tensor(self.numbers, dtype=torch.long)
