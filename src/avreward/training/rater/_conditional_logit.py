"""Conditional logit with a ridge: which of several was chosen, as a function of features (McFadden, 1974)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
STEPS, ENOUGH = 30, 1e-7


@dataclass(frozen=True)
class ChoiceSets:
    """Choices as arrays.

    Attributes:
        rows: of the features' table, (choices, most candidates); −1 where a choice has fewer.
        chosen: position in `rows` of the preferred one.
        weight: of each choice.
        group: number of the group of each choice.
    """

    rows: NDArray[np.int64]
    chosen: NDArray[np.int64]
    weight: Numbers
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chosen)

    def only(self, keep: NDArray[np.bool_]) -> ChoiceSets:
        """Return the choices of a mask."""
        return ChoiceSets(self.rows[keep], self.chosen[keep], self.weight[keep], self.group[keep])

    def without(self, gone: NDArray[np.bool_]) -> ChoiceSets:
        """Return the choices without the candidates that a mask over the features' rows names; what is left of two."""
        rows = np.where((self.rows >= 0) & gone[self.rows], -1, self.rows)
        keep = (rows[np.arange(len(rows)), self.chosen] >= 0) & ((rows >= 0).sum(1) > 1)
        return ChoiceSets(rows[keep], self.chosen[keep], self.weight[keep], self.group[keep])


def fit_choices(features: Numbers, sets: ChoiceSets, ridge: Numbers) -> Numbers:
    """Return the weights (features,) that maximize the log-likelihood minus ``½ Σ ridge · w²``, by Newton's method."""
    present = sets.rows >= 0
    x = features[np.where(present, sets.rows, 0)]  # (choices, candidates, features)
    x = x - x[np.arange(len(x)), sets.chosen][:, None]
    x[~present] = 0.0
    weights = np.zeros(features.shape[1])
    loss, p = _loss(x, present, sets.weight, ridge, weights)
    for _ in range(STEPS):
        mean = np.einsum("ec,ecd->ed", p, x)
        gradient = sets.weight @ mean + ridge * weights
        scaled = (x * np.sqrt(p * sets.weight[:, None])[..., None]).reshape(-1, x.shape[-1])
        centered = mean * np.sqrt(sets.weight)[:, None]
        step = np.linalg.solve(scaled.T @ scaled - centered.T @ centered + np.diag(ridge), gradient)
        size = 1.0
        while True:
            tried = weights - size * step
            new, p_new = _loss(x, present, sets.weight, ridge, tried)
            if new <= loss or size < 1e-6:
                break
            size /= 2
        done = loss - new < ENOUGH * (1 + abs(loss))
        weights, loss, p = tried, new, p_new
        if done:
            break
    return weights


def choice_loss(features: Numbers, sets: ChoiceSets, weights: Numbers) -> float:
    """Return the mean negative log-likelihood of the choices."""
    present = sets.rows >= 0
    x = features[np.where(present, sets.rows, 0)]
    x = x - x[np.arange(len(x)), sets.chosen][:, None]
    loss, _ = _loss(x, present, sets.weight, np.zeros(len(weights)), weights)
    return loss / float(sets.weight.sum())


def _loss(x: Numbers, present: NDArray[np.bool_], weight: Numbers, ridge: Numbers, w: Numbers) -> tuple[float, Numbers]:
    """Return the penalized loss and the probabilities; `x` is relative to the chosen one, whose utility is then 0."""
    utility = np.where(present, x @ w, -np.inf)
    top = utility.max(1, keepdims=True)
    e = np.exp(utility - top)
    total = e.sum(1, keepdims=True)
    loss = float(weight @ (np.log(total) + top)[:, 0]) + 0.5 * float(ridge @ w**2)
    return loss, e / total
