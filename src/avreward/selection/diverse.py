"""Choose several candidates that are good and differ from each other."""

from __future__ import annotations

import torch
from torch import Tensor

from avreward.errors import ArgumentError, Described
from avreward.preferences.group_rewards import distances_between, standardized
from avreward.selection._selection import Selection


def diverse_top_k(
    ranking: Selection, k: int, diversity: float = 0.5, distances: Tensor | None = None
) -> tuple[int, ...]:
    """Return the indices of `k` good candidates that differ from each other, the best one first.

    Each further candidate has the largest (1 − λ)·r + λ·d, where r is its reward, standardized among the ranked
    candidates, and d its distance to the nearest chosen one, as a multiple of the mean distance (greedy maximal
    marginal relevance: Carbonell and Goldstein, SIGIR 1998, with a distance instead of a similarity). Of equals the one
    that is ranked higher is chosen. The greedy choice need not be the best set of k.

    Args:
        ranking: see `best_of_n`.
        k: from 1 to the number of ranked candidates.
        diversity: λ, from 0 (the k best) to 1 (rewards count for the first only).
        distances: (candidates, candidates), at least 0 and symmetric, such as distances of features of the clips.
            Default: distances of the scores that the reward reads, as in `Diversity`.

    Raises:
        ArgumentError: if an argument is out of its range, or there are neither distances nor scores.

    Example:
        >>> diverse_top_k(best_of_n(clips, reward), k=2)
        (1, 2)
    """
    order = list(ranking.order)
    if not 1 <= k <= len(order):
        raise ArgumentError("k", f"1 to {len(order)}, the number of ranked candidates", k)
    if not 0 <= diversity <= 1:
        raise ArgumentError("diversity", "a number from 0 to 1", diversity)
    apart = _between(ranking, order, distances)
    rewards = standardized(ranking.rewards.values.detach()[order].double())
    chosen, nearest = [0], apart[0].clone()
    while len(chosen) < k:
        worth = (1 - diversity) * rewards + diversity * nearest
        worth[chosen] = -torch.inf
        chosen.append(int(worth.argmax()))  # of equals the first, which is ranked higher
        nearest = torch.minimum(nearest, apart[chosen[-1]])
    return tuple(order[i] for i in chosen)


def _between(ranking: Selection, order: list[int], distances: Tensor | None) -> Tensor:
    """Return the distances of the ranked candidates in their order, scaled to a mean of 1 unless all are 0."""
    count = len(ranking.candidates)
    if distances is None:
        terms = ranking.rewards.terms
        if not terms:
            raise ArgumentError("distances", "a tensor, as the ranking has no scores to compute them from", None)
        found = distances_between([column.detach()[order].double() for column in terms.values()])
    else:
        if distances.shape != (count, count):
            raise ArgumentError("distances", f"a tensor of shape ({count}, {count}), one row per candidate", distances)
        found = distances.detach().double()[order][:, order]
        if not (bool(found.isfinite().all()) and bool((found >= 0).all()) and torch.allclose(found, found.T)):
            got = Described("some that are negative, not finite or not symmetric")
            raise ArgumentError("distances", "finite, symmetric numbers of at least 0", got)
    total = float(found.sum())
    return found * (len(order) * (len(order) - 1) / total) if total else found
