"""P-values of all pairs of systems, corrected for their number.

Closed testing (Marcus, Peritz and Gabriel, Biometrika 63, 1976): two systems differ at a level if every hypothesis
that contains their equality is rejected at it. Such a hypothesis divides the systems into sets of equal ones; it is
tested by exchanging the systems of a set within each group, with the largest difference as the statistic. That is
exact, and with few groups it can show what Holm's correction of the same p-values cannot: a pair of 8 groups has no
p-value below 1/128.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from avreward.evaluation._sign_flips import TOLERANCE, Array

Pair = tuple[int, int]
MOST_SYSTEMS, MOST_GROUPS = 6, 60  # beyond, the number of hypotheses and draws takes long, and Holm loses little


def corrected_p(cells: Array, single: Mapping[Pair, float], draws: int, seed: int) -> dict[Pair, float]:
    """Return the p-values corrected for the number of pairs: of two systems the plain one.

    Closed tests for up to 6 systems and 60 groups, Holm's correction beyond.

    Args:
        cells: (groups, systems), NaN where a system is missing in a group.
        single: pair of systems → its p-value by itself, for the pairs that share a group.
        draws: random exchanges of each set of systems.
        seed: of the draws.
    """
    groups, systems = cells.shape
    if systems == 2:
        return dict(single)
    if systems > MOST_SYSTEMS or groups > MOST_GROUPS:
        return dict(zip(single, holm(list(single.values())), strict=True))
    rng = np.random.default_rng(seed)
    drawn = {
        block: _block_draws(cells[:, block], draws, rng)
        for size in range(2, systems + 1)
        for block in combinations(range(systems), size)
    }
    corrected = dict(single)
    for partition in _partitions(range(systems)):
        blocks = [tuple(block) for block in partition if len(block) > 1]
        if not blocks:
            continue
        pairs = [pair for block in blocks for pair in combinations(block, 2) if pair in single]
        if len(pairs) == 1:
            continue  # tested exactly by its own p-value
        largest = np.max([drawn[block] for block in blocks], axis=0)
        p = float((largest >= largest[0] - TOLERANCE).mean())
        for pair in pairs:
            corrected[pair] = max(corrected[pair], p)
    return corrected


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    return [one for (one,) in over_families([[value] for value in values])]


def over_families(families: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return p-values that are corrected within each family, corrected for the number of families as well.

    Holm's procedure, in which a family counts as rejected once all its hypotheses are; families of one hypothesis each
    give Holm's p-values.
    """
    order = sorted(range(len(families)), key=lambda i: max(families[i], default=1.0))
    found: list[list[float]] = [[1.0] * len(family) for family in families]
    reached, factors = 0.0, []  # (level from which all earlier families are rejected, families that are left)
    for place, which in enumerate(order):
        left = len(families) - place
        factors.append((reached, left))
        found[which] = [min(1.0, *(max(start, many * p) for start, many in factors)) for p in families[which]]
        reached = max(reached, left * max(families[which], default=1.0))
    return found


def _block_draws(cells: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return (1 + draws,) the largest statistic of a block's pairs: observed, then with systems exchanged in groups."""
    there = np.isfinite(cells)
    shuffled = np.broadcast_to(cells, (draws + 1, *cells.shape)).copy()
    if there.all():
        rng.permuted(shuffled[1:], axis=2, out=shuffled[1:])
    else:
        order = np.argsort(
            rng.random((draws, *cells.shape)) + 2.0 * ~there, axis=2
        )  # those that a group has come first
        place = np.broadcast_to(np.argsort(~there, axis=1, kind="stable"), order.shape)
        np.put_along_axis(shuffled[1:], place, np.take_along_axis(shuffled[1:], order, axis=2), axis=2)
    first, second = np.triu_indices(cells.shape[1], 1)
    gaps = np.nan_to_num(shuffled[:, :, first] - shuffled[:, :, second])
    # Sums over their root mean square: of variance 1 under random signs, finite where all differences are equal.
    size = np.sqrt((gaps**2).sum(axis=1))
    ratio: NDArray[np.float64] = np.abs(gaps.sum(axis=1)) / np.where(size > 0, size, 1.0)
    return ratio.max(axis=1)


def _partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yield all divisions of `items` into sets."""
    if not len(items):
        yield []
        return
    *rest, last = items
    for smaller in _partitions(rest):
        yield [*smaller, [last]]
        for i, block in enumerate(smaller):
            yield [*smaller[:i], [*block, last], *smaller[i + 1 :]]
