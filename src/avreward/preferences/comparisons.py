"""Count the outcomes of comparisons, and check that they determine strengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError, Described

WIN, TIE, LOSS = 1.0, 0.5, 0.0
LISTED_AT_MOST = 5  # items or sets that an error lists


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Outcomes of comparisons, with identical ones counted.

    Attributes:
        items: what was compared; `first` and `second` are indices into these.
        first: int64 (rows,) the winners, or one side of a tie.
        second: int64 (rows,) the losers, or the other side of a tie.
        tie: bool (rows,) whether the outcome is a tie.
        count: float64 (rows,) how often the outcome occurred.
    """

    items: tuple[Hashable, ...]
    first: Tensor
    second: Tensor
    tie: Tensor
    count: Tensor

    @property
    def total(self) -> int:
        """The number of comparisons."""
        return int(self.count.sum())


def count(
    items: Sequence[Hashable], first: Sequence[Hashable], second: Sequence[Hashable], outcome: Sequence[float] | Tensor
) -> Comparisons:
    """Count comparisons, with the arguments of `fit_strengths`; raise `ArgumentError` for a wrong one.

    Example:
        >>> compared = count(["a", "b"], ["a", "b", "a"], ["b", "a", "b"], [1, 0, 0.5])
        >>> compared.count, compared.tie
        (tensor([2., 1.], dtype=torch.float64), tensor([False,  True]))
    """
    results = outcome.tolist() if isinstance(outcome, Tensor) else list(outcome)
    if not len(first) == len(second) == len(results):
        lengths = Described(f"{len(first)}, {len(second)} and {len(results)}")
        raise ArgumentError("first, second, outcome", "one entry each per comparison", lengths)
    index = {item: i for i, item in enumerate(items)}
    if len(index) < len(items):
        twice = next(item for item, times in Counter(items).items() if times > 1)
        raise ArgumentError("items", "each item once", Described(f"{twice!r} twice"))
    if len(items) < 2:
        raise ArgumentError("items", "at least two items", Described(str(len(items))))
    counted: Counter[tuple[int, int, bool]] = Counter()
    for number, (one, other, result) in enumerate(zip(first, second, results, strict=True)):
        for name, side in (("first", one), ("second", other)):
            if side not in index:
                raise ArgumentError(f"{name}[{number}]", "one of the items", side, "add it to items")
        if one == other:
            got = Described(f"{one!r} twice")
            raise ArgumentError(f"first[{number}], second[{number}]", "two different items", got, "leave it out")
        if result not in (WIN, TIE, LOSS):
            expected = "1 (the first won), 0.5 (a tie) or 0 (the second won)"
            raise ArgumentError(f"outcome[{number}]", expected, result)
        pair = (index[one], index[other])
        turned = result == LOSS or (result == TIE and pair[0] > pair[1])
        counted[(*(pair[::-1] if turned else pair), result == TIE)] += 1
    rows = torch.tensor(list(counted), dtype=torch.long).reshape(-1, 3)
    times = torch.tensor(list(counted.values()), dtype=torch.float64)
    return Comparisons(tuple(items), rows[:, 0], rows[:, 1], rows[:, 2].bool(), times)


def check_connected(compared: Comparisons) -> None:
    """Raise `ArgumentError` if the items fall into sets that were never compared with each other.

    The relative strength of the sets is then undetermined. The message lists them.
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
        got = Described(f"{number} sets without a comparison between them: {' | '.join(parts[:LISTED_AT_MOST])}{more}")
        remedy = "add comparisons between the sets, or fit each set separately"
        raise ArgumentError("comparisons", "items that are all connected by comparisons", got, remedy)


def check_bounded(compared: Comparisons) -> None:
    """Raise `ArgumentError` if the likelihood has no maximum at finite strengths; the message lists the items.

    This happens if some strengths can grow without limit while every outcome only becomes more likely: without ties, if
    the items can be split into two sets of which one never lost to the other (Ford, "Solution of a ranking problem from
    binary comparisons", American Mathematical Monthly 64, 1957); with ties, the threshold can grow as well. Such a
    direction u, with threshold c, has u₁ − u₂ ≥ c for each win and |u₁ − u₂| ≤ c for each tie (Albert and Anderson,
    "On the existence of maximum likelihood estimates in logistic regression models", Biometrika 71, 1984); a linear
    program finds one or shows that there is none.
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
        remedy = "pass a prior, such as prior=1.0"
        raise AvrewardError(f"comparisons: the check that strengths are finite failed ({found.message}); {remedy}")
    if -found.fun > 1 / size:  # 0 without such a direction, otherwise at least 2/size, by the bounds of the variables
        height = found.x[:size]
        levels = np.sort(height)
        cut = levels[np.diff(levels).argmax()]
        upper = [item for item, h in zip(compared.items, height, strict=True) if h > cut]
        lower = [item for item, h in zip(compared.items, height, strict=True) if h <= cut]
        got = Described(f"outcomes that only get more likely the stronger {_named(upper)} is than {_named(lower)}")
        remedy = "add comparisons, or pass a prior, such as prior=1.0"
        raise ArgumentError("comparisons", "outcomes that finite strengths fit best", got, remedy)


def _named(items: Sequence[Hashable]) -> str:
    more = f" and {len(items) - LISTED_AT_MOST} more" if len(items) > LISTED_AT_MOST else ""
    return ", ".join(map(str, items[:LISTED_AT_MOST])) + more
