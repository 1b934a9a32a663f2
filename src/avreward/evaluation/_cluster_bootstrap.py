"""Bootstrap intervals of anything computed from clips or pairs, drawn by content."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def numbered(contents: Sequence[Hashable]) -> Rows:
    """Return the number (rows,) of each row's content, in order of appearance."""
    numbers = {content: i for i, content in enumerate(dict.fromkeys(contents))}
    return np.array([numbers[content] for content in contents], dtype=np.int64)


def clustered_intervals(
    statistic: Callable[[Rows], Sequence[float]],
    contents: Rows,
    level: float,
    resamples: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of percentile intervals of several numbers; NaN with fewer than two contents.

    Contents (prompts, videos) are drawn with replacement, each with all its rows: clips of one content are not
    independent. A resample in which a number is undefined is left out for that number. Efron and Tibshirani, "An
    introduction to the bootstrap", 1993; Field and Welsh, "Bootstrapping clustered data", 2007.

    Args:
        statistic: rows (n,), with repetitions → the numbers.
        contents: (rows,) see `numbered`.
        level: of the intervals.
        resamples: how many.
        seed: of the draws.
    """
    order = np.argsort(contents, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(contents[order])) + 1)
    if len(members) < 2:
        undefined = np.full(len(statistic(np.arange(len(contents)))), np.nan)
        return undefined, undefined
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = draw.integers(0, len(members), len(members))
        found.append(statistic(np.concatenate([members[i] for i in drawn])))
    values = np.array(found, dtype=np.float64)
    ends = np.full((2, values.shape[1]), np.nan)
    for i, column in enumerate(values.T):
        defined = column[np.isfinite(column)]
        if len(defined) > resamples // 2:
            ends[:, i] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return ends[0], ends[1]
