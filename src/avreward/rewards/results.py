"""The result of a reward: values, the scores behind them, reasons for missing ones, and the error for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward._display import Shown, ShownAsTable, counted
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.scores import Scores

NAMED_AT_MOST = 5  # clips that an error lists before it counts the rest


class MissingScore(AvrewardError):
    """A reward was requested for clips that have none; the message lists the clips and the reasons."""

    @classmethod
    def of(cls, names: Sequence[str], reasons: Mapping[int, str], remedy: str) -> MissingScore:
        """Return the error for the clips in `reasons` (index → why missing), among all those in `names`."""
        listed = [f"{names[i]} (clip {i}): {why}" for i, why in list(reasons.items())[:NAMED_AT_MOST]]
        if len(reasons) > NAMED_AT_MOST:
            listed.append(f"and {len(reasons) - NAMED_AT_MOST} more")
        are = "is" if len(reasons) == 1 else "are"
        missing = "the reward" if len(names) == 1 else f"{len(reasons)} of {len(names)} rewards"
        return cls(f"{missing} {are} missing: {' | '.join(listed)}; {remedy}")


@dataclass(repr=False)
class Rewards(ShownAsTable):
    """The rewards of some clips, with the scores behind them.

    Attributes:
        values: (clips,). A missing one is NaN, a constant without a gradient: index with `present`.
        present: bool (clips,).
        reasons: for each clip, why its reward is missing, or `None`.
        terms: name of a score (``signals.clipping``) → that score (clips,) before it is weighted, NaN where missing.
        basis: for each clip, the dimensions that its fused scores (such as ``overall``) were computed from; empty if
            none is fused. Rewards with different bases are not on the same scale.
        scores: name of a rater → all its scores of the clips.
        sigma: (clips,) standard deviation of each reward, NaN where unknown; `None` where no rater gives one.
    """

    values: Tensor
    present: Tensor
    reasons: list[str | None]
    terms: dict[str, Tensor]
    basis: list[tuple[str, ...]]
    scores: dict[str, Scores]
    sigma: Tensor | None = None

    def __len__(self) -> int:
        return len(self.reasons)

    @classmethod
    def concatenate(cls, parts: Sequence[Rewards]) -> Rewards:
        """Return one `Rewards` from several of the same reward, in order.

        Args:
            parts: at least one.

        Raises:
            ArgumentError: if there are none.
        """
        if not parts:
            raise ArgumentError("parts", "at least one Rewards", Described("none"))
        unknown = [torch.full_like(p.values, float("nan")) if p.sigma is None else p.sigma for p in parts]
        return cls(
            torch.cat([p.values for p in parts]),
            torch.cat([p.present for p in parts]),
            [reason for p in parts for reason in p.reasons],
            {name: torch.cat([p.terms[name] for p in parts]) for name in parts[0].terms},
            [basis for p in parts for basis in p.basis],
            {name: Scores.concatenate([p.scores[name] for p in parts]) for name in parts[0].scores},
            torch.cat(unknown) if any(p.sigma is not None for p in parts) else None,
        )

    def split(self) -> list[Rewards]:
        """Return one `Rewards` per clip, in order; `concatenate` joins them again."""
        scores = {name: found.split() for name, found in self.scores.items()}
        return [
            Rewards(
                self.values[i : i + 1],
                self.present[i : i + 1],
                [self.reasons[i]],
                {name: column[i : i + 1] for name, column in self.terms.items()},
                [self.basis[i]],
                {name: found[i] for name, found in scores.items()},
                None if self.sigma is None else self.sigma[i : i + 1],
            )
            for i in range(len(self))
        ]

    def _shown(self) -> Shown:
        terms = [name for name in self.terms if len(self.terms) > 1]
        sigma = [] if self.sigma is None else ["sigma"]
        columns = [self.values, *([] if self.sigma is None else [self.sigma]), *(self.terms[name] for name in terms)]
        rows = ((i, *(float(column[i].detach()) for column in columns), why) for i, why in enumerate(self.reasons))
        return f"Rewards of {counted(len(self), 'clip')}", ["clip", "reward", *sigma, *terms, "reason"], rows, len(self)
