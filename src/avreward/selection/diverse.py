"""Several candidates that are good and unlike each other."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.errors import AvrewardError
from avreward.preferences.group_rewards import distances_between, standardized
from avreward.selection._selection import Selection


def diverse_top_k(
    ranking: Selection, k: int, diversity: float = 0.5, distances: Tensor | None = None
) -> tuple[int, ...]:
    """Indices of `k` ranked candidates, chosen one after another, the best one first.

    Each next one has the largest (1 − λ)·r + λ·d: r is its reward, standardized among the ranked, and d its distance
    to the nearest one chosen, as a multiple of the mean distance (greedy maximal marginal relevance: Carbonell and
    Goldstein, SIGIR 1998, with a distance in the place of a similarity). Of equals the one that is ranked higher.
    Greedy is not optimal: the best set of k may be another.

    Args:
        ranking: see `best_of_n`.
        k: 1 to as many as are ranked.
        diversity: λ, from 0 (the k best) to 1 (rewards count for the first only).
        distances: (candidates, candidates), 0 or more and symmetric (*optional*): of features of the clips, say. By
            default how far the scores that the reward reads are apart, as in
            `avreward.preferences.group_rewards.Diversity`.

    Raises `AvrewardError` for other arguments, and where there are neither distances nor scores.

    >>> diverse_top_k(best_of_n(clips, reward), k=2)
    (1, 2)
    """
    order = list(ranking.order)
    if not 1 <= k <= len(order):
        raise AvrewardError(f"k: {k} of {len(order)} ranked candidates; pass 1 to {len(order)}")
    if not 0 <= diversity <= 1:
        raise AvrewardError(f"diversity: {diversity}; pass a number from 0 to 1")
    apart = _between(ranking, order, distances)
    rewards = standardized(ranking.rewards.values.detach()[order].double())
    chosen, nearest = [0], apart[0].clone()
    while len(chosen) < k:
        worth = (1 - diversity) * rewards + diversity * nearest
        worth[chosen] = -torch.inf
        chosen.append(int(worth.argmax()))  # the first of equals, which is the one ranked higher
        nearest = torch.minimum(nearest, apart[chosen[-1]])
    return tuple(order[i] for i in chosen)


def _between(ranking: Selection, order: list[int], distances: Tensor | None) -> Tensor:
    """Distances of the ranked, in their order; their mean is 1 unless all are 0."""
    count = len(ranking.candidates)
    if distances is None:
        terms = ranking.rewards.terms
        if not terms:
            raise AvrewardError("distances: this ranking keeps no scores to measure them by; pass distances")
        found = distances_between([column.detach()[order].double() for column in terms.values()])
    else:
        if distances.shape != (count, count):
            shape = tuple(distances.shape)
            raise AvrewardError(f"distances: shape {shape} for {count} candidates; pass ({count}, {count})")
        found = distances.detach().double()[order][:, order]
        if not (bool(found.isfinite().all()) and bool((found >= 0).all()) and torch.allclose(found, found.T)):
            raise AvrewardError("distances: some are negative, not finite or not symmetric; pass distances")
    total = float(found.sum())
    return found * (len(order) * (len(order) - 1) / total) if total else found
