"""Outcomes of many comparisons, counted, and whether strengths can be told from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import AvrewardError

WIN, TIE, LOSS = 1.0, 0.5, 0.0
LISTED_AT_MOST = 5  # items or components that an error names


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Outcomes of comparisons, equal ones counted.

    Attributes:
        items: who was compared; `first` and `second` are indices of these.
        first: int64 (rows,) the winners, or one side of a tie.
        second: int64 (rows,) the losers, or the other side.
        tie: bool (rows,).
        count: float64 (rows,) how often.
    """

    items: tuple[Hashable, ...]
    first: Tensor
    second: Tensor
    tie: Tensor
    count: Tensor

    @property
    def total(self) -> int:
        """How many comparisons there are."""
        return int(self.count.sum())


def count(
    items: Sequence[Hashable], first: Sequence[Hashable], second: Sequence[Hashable], outcome: Sequence[float] | Tensor
) -> Comparisons:
    """Counts comparisons. Arguments as in `strengths.fit`; `AvrewardError` names the comparison that is at fault.

    >>> compared = count(["a", "b"], ["a", "b", "a"], ["b", "a", "b"], [1, 0, 0.5])
    >>> compared.count, compared.tie
    (tensor([2., 1.], dtype=torch.float64), tensor([False,  True]))
    """
    results = [float(result) for result in outcome]
    if not len(first) == len(second) == len(results):
        lengths = f"{len(first)}, {len(second)} and {len(results)}"
        raise AvrewardError(f"first, second, outcome: {lengths} entries; pass one each for every comparison")
    index = {item: i for i, item in enumerate(items)}
    if len(index) < len(items):
        twice = next(item for item, times in Counter(items).items() if times > 1)
        raise AvrewardError(f"items: {twice!r} stands there twice; name each item once")
    if len(items) < 2:
        raise AvrewardError(f"items: {len(items)} of them; strengths are of at least two")
    counted: Counter[tuple[int, int, bool]] = Counter()
    for number, (one, other, result) in enumerate(zip(first, second, results, strict=True)):
        for side in (one, other):
            if side not in index:
                raise AvrewardError(f"comparison {number}: {side!r} is not among the items; add it there")
        if one == other:
            raise AvrewardError(f"comparison {number}: {one!r} is compared with itself; leave it out")
        if result not in (WIN, TIE, LOSS):
            raise AvrewardError(f"comparison {number}: outcome {result}; 1 is a win of the first, 0.5 a tie, 0 a loss")
        pair = (index[one], index[other])
        turned = result == LOSS or (result == TIE and pair[0] > pair[1])
        counted[(*(pair[::-1] if turned else pair), result == TIE)] += 1
    rows = torch.tensor(list(counted), dtype=torch.long).reshape(-1, 3)
    times = torch.tensor(list(counted.values()), dtype=torch.float64)
    return Comparisons(tuple(items), rows[:, 0], rows[:, 1], rows[:, 2].bool(), times)


def check_connected(compared: Comparisons) -> None:
    """Raises `AvrewardError` that names the components, if some items were never compared with the others.

    Nothing then says how strong one component is against another.
    """
    from scipy.sparse import coo_array  # late: half a second
    from scipy.sparse.csgraph import connected_components

    size = len(compared.items)
    edges = coo_array((compared.count.numpy(), (compared.first.numpy(), compared.second.numpy())), shape=(size, size))
    number, label = connected_components(edges, directed=False)
    if number > 1:
        parts = [
            _named([item for item, of in zip(compared.items, label, strict=True) if of == c]) for c in range(number)
        ]
        more = f" | and {number - LISTED_AT_MOST} more" if number > LISTED_AT_MOST else ""
        raise AvrewardError(
            f"comparisons: {number} sets of items were never compared with each other: "
            f"{' | '.join(parts[:LISTED_AT_MOST])}{more}; add comparisons between them, or fit each set by itself"
        )


def check_bounded(compared: Comparisons) -> None:
    """Raises `AvrewardError` that names the items, if the likelihood has no maximum at finite strengths.

    That is so where some strengths can grow without end and every outcome only becomes more likely: for wins, where
    items can be parted in two sets of which one never lost to the other (Ford, "Solution of a ranking problem from
    binary comparisons", American Mathematical Monthly 64, 1957); with ties, the threshold may grow along. Such a
    direction u, with threshold c, has u₁ − u₂ ≥ c for each win and |u₁ − u₂| ≤ c for each tie (Albert and Anderson,
    "On the existence of maximum likelihood estimates in logistic regression models", Biometrika 71, 1984); a linear
    programme finds one, or that there is none.
    """
    import numpy as np  # late, with scipy: half a second
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, vstack

    size, rows = len(compared.items), len(compared.count)
    tie = compared.tie.numpy()
    at = np.arange(rows)
    places = (np.concatenate([at, at]), np.concatenate([compared.first.numpy(), compared.second.numpy()]))
    gap = coo_array((np.concatenate([np.ones(rows), -np.ones(rows)]), places), shape=(rows, size + 1)).tocsr()
    threshold = coo_array((np.ones(rows), (at, np.full(rows, size))), shape=(rows, size + 1)).tocsr()
    limits = vstack([(threshold - gap)[~tie], (gap - threshold)[tie], (-gap - threshold)[tie]])
    bounds = [(-1.0, 1.0)] * size + [(0.0, 2.0 if tie.any() else 0.0)]
    found = linprog(-gap[~tie].sum(axis=0), A_ub=limits, b_ub=np.zeros(limits.shape[0]), bounds=bounds)
    if found.status != 0:
        raise AvrewardError(f"comparisons: whether they bound the strengths could not be found out ({found.message})")
    if -found.fun > 1 / size:  # 0 where there is no such direction; else at least 2/size, as the box lets it grow
        height = found.x[:size]
        levels = np.sort(height)
        cut = levels[np.diff(levels).argmax()]
        upper = [item for item, h in zip(compared.items, height, strict=True) if h > cut]
        lower = [item for item, h in zip(compared.items, height, strict=True) if h <= cut]
        raise AvrewardError(
            f"comparisons: no finite strengths fit best: {_named(upper)} can rise above {_named(lower)} without end, "
            "and the outcomes only become likelier; add comparisons, or pass a prior, such as prior=1.0"
        )


def _named(items: Sequence[Hashable]) -> str:
    more = f" and {len(items) - LISTED_AT_MOST} more" if len(items) > LISTED_AT_MOST else ""
    return ", ".join(map(str, items[:LISTED_AT_MOST])) + more
