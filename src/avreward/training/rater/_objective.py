"""The loss of a stage over a whole batch of scores, and its own learned numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avreward.training.losses import pearson_loss, plcc_loss, rank_loss, scaled_rank_loss
from avreward.training.rater.comparison_losses import (
    bradley_terry_loss,
    fidelity_loss,
    list_policy_loss,
    listwise_loss,
)
from avreward.training.rater.levels import level_loss, to_levels

if TYPE_CHECKING:
    from avreward.training.rater.arguments import RaterTrainingArguments

Batch = Mapping[str, Tensor]
START_LOG_TIE = 0.1
QUICK = 10.0  # how much faster the temperature moves than a weight: Adam moves both by the learning rate


class Objective(nn.Module):
    """The loss of one stage; for pairs with a temperature and, with ties, their parameter.

    Args:
        arguments: of the stage.
        ranges: lowest and highest rating of each dimension, which levels are made from.
    """

    def __init__(self, arguments: RaterTrainingArguments, ranges: list[tuple[float, float]]) -> None:
        super().__init__()
        self.arguments, self.ranges = arguments, ranges
        if arguments.stage == "pairs":
            self.warming = nn.Parameter(torch.zeros(()), requires_grad=arguments.learn_temperature)
            if arguments.ties != "half":
                self.tie = nn.Parameter(torch.tensor(START_LOG_TIE))

    @property
    def temperature(self) -> float | None:
        """What differences of scores are divided by, for pairs."""
        return float(self._temperature().detach()) if self.arguments.stage == "pairs" else None

    def _temperature(self) -> Tensor:
        return self.arguments.temperature * (QUICK * self.warming).exp()

    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        """Return the loss of scores (clips, dimensions), or of logits (clips, dimensions, words) of levels."""
        if self.arguments.stage == "levels":
            return self._levels(scores, batch["ratings"])
        if self.arguments.stage == "pairs":
            return self._pairs(scores, batch)
        return sum(  # type: ignore[return-value]
            weight * self._scores(name, scores, batch) for name, weight in self.arguments.terms.items()
        )

    def undefined(self, batch: Batch) -> str | None:
        """Return why the batch has no defined loss: every rating the same, where only differences count."""
        apart = {"plcc", "pearson", "rank", "scaled_rank", "fidelity", *("listwise", "list_policy")}
        if self.arguments.stage != "scores" or not set(self.arguments.terms) <= apart:
            return None
        ratings = batch["ratings"]
        known = ratings[~ratings.isnan()]
        return "all ratings of the batch are equal" if len(known) and bool((known == known[0]).all()) else None

    def _levels(self, logits: Tensor, ratings: Tensor) -> Tensor:
        words = logits.shape[-1]
        losses = []
        for column, (low, high) in enumerate(self.ranges):
            known = ~ratings[:, column].isnan()
            if bool(known.any()):
                level = to_levels(ratings[known, column], low, high, words)
                losses.append(level_loss(logits[known, column], level.to(logits.device)))
        return torch.stack(losses).mean()

    def _pairs(self, scores: Tensor, batch: Batch) -> Tensor:
        difference = (scores[0::2] - scores[1::2]) / self._temperature().to(scores)
        known = ~batch["outcome"].isnan()
        outcome, difference = batch["outcome"][known].to(scores), difference[known]
        loss = scores.new_zeros(())
        for name, weight in self.arguments.terms.items():
            if name == "fidelity":
                loss = loss + weight * fidelity_loss(difference, (outcome + 1) / 2)
                continue
            margin = batch["margin"][known].to(scores) if self.arguments.use_margins else None
            ties = self.arguments.ties
            log_tie = F.softplus(self.tie) if ties == "rao_kupper" else self.tie if ties == "davidson" else 0.0
            loss = loss + weight * bradley_terry_loss(
                difference,
                outcome,
                margin=margin,
                ties=ties,  # type: ignore[arg-type]
                log_tie=log_tie,
            )
        return loss

    def _scores(self, name: str, scores: Tensor, batch: Batch) -> Tensor:
        ratings = batch["ratings"].to(scores)
        known = ~ratings.isnan()
        if name in ("plcc", "l1", "mse"):
            whole: Mapping[str, Callable[..., Tensor]] = {"plcc": plcc_loss, "l1": F.l1_loss, "mse": F.mse_loss}
            return whole[name](scores[known], ratings[known])
        losses = []
        for column in range(scores.shape[1]):
            rows = known[:, column]
            if int(rows.sum()) > 1:
                own, truth = scores[rows, column], ratings[rows, column]
                losses.append(_LOSSES[name](own, truth, batch["group"].to(scores.device)[rows]))
        return torch.stack(losses).mean() if losses else scores.sum() * 0


def _fidelity(scores: Tensor, truth: Tensor, group: Tensor) -> Tensor:
    """Return the fidelity loss of all pairs of a batch."""
    first, second = torch.triu_indices(len(scores), len(scores), 1, device=scores.device)
    better = ((truth[first] - truth[second]).sign() + 1) / 2
    return fidelity_loss(scores[first] - scores[second], better)


_LOSSES: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "pearson": lambda scores, truth, group: pearson_loss(scores, truth),
    "rank": lambda scores, truth, group: rank_loss(scores, truth),
    "scaled_rank": lambda scores, truth, group: scaled_rank_loss(scores, truth),
    "fidelity": _fidelity,
    "listwise": listwise_loss,
    "list_policy": list_policy_loss,
}
