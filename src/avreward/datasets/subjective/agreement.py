"""How far people agree: Krippendorff's alpha, and the rank correlation of random halves of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from avreward.datasets.subjective._sums import means
from avreward.datasets.subjective.ratings import Floats, Ratings
from avreward.errors import ArgumentError, Described, unknown_name
from avreward.evaluation.correlation import srcc

Scale = Literal["nominal", "ordinal", "interval", "ratio"]


def krippendorff_alpha(ratings: Ratings | ArrayLike, scale: Scale = "interval") -> float:
    """Return Krippendorff's alpha: 1 for perfect agreement, 0 for agreement as by chance, below 0 for less.

    1 − observed / expected disagreement, over the clips that at least two people rated; any rating may be missing. The
    disagreement of two ratings a, b is their squared distance: of the numbers (``"interval"``), of their mid-ranks
    (``"ordinal"``), of (a − b)/(a + b) (``"ratio"``), or whether they differ (``"nominal"``). Hayes and Krippendorff,
    "Answering the call for a standard reliability measure for coding data", 2007. AGAV-Rater reports it for raw ratings
    on a continuous scale, for which ``"interval"`` is the scale.

    Args:
        ratings: of one dimension, or an array (clips, people) with NaN where one is missing.
        scale: of the ratings.

    Raises:
        ArgumentError: if fewer than two clips have two ratings, or if all those ratings are equal, since
            alpha is then undefined.

    Example:
        >>> round(krippendorff_alpha([[1, 1], [2, 2], [3, 4], [4, 3]]), 3)
        0.825
    """
    given = ratings if isinstance(ratings, Ratings) else Ratings.from_array(ratings)
    if scale not in DISTANCES:
        raise unknown_name("scale", scale, DISTANCES)
    many = np.bincount(given.clip, minlength=len(given.clips))
    kept = given.kept(many[given.clip] > 1)
    if len(np.unique(kept.clip)) < 2:
        got = Described(str(len(np.unique(kept.clip))))
        raise ArgumentError("ratings", "at least two clips with two ratings", got, "ask more people")
    values, code = np.unique(kept.values, return_inverse=True)
    if len(values) == 1:
        got = Described(f"{values[0]:g} everywhere")
        raise ArgumentError("ratings", "ratings that differ", got, "alpha is undefined if all are equal")
    shares = 1 / (many[kept.clip] - 1.0)  # each clip counts as many pairs as it has ratings
    totals = np.bincount(code)
    at = values if scale != "ordinal" else np.cumsum(totals) - totals / 2
    distance = DISTANCES[scale]
    observed = 0.0
    order = np.argsort(kept.clip, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(kept.clip[order])) + 1):
        own = at[code[rows]]
        observed += float(distance(own[:, None], own[None, :]).sum() * shares[rows[0]])
    expected = sum(float(count * (totals * distance(at, one)).sum()) for one, count in zip(at, totals, strict=True))
    return 1 - observed * (len(kept) - 1) / expected


def _ratio(first: Floats, second: Floats) -> Floats:
    total = first + second
    return np.where(total == 0, 0.0, (first - second) / np.where(total == 0, 1.0, total)) ** 2


DISTANCES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "nominal": lambda first, second: (first != second).astype(np.float64),
    "ordinal": lambda first, second: (first - second) ** 2,  # of mid-ranks
    "interval": lambda first, second: (first - second) ** 2,
    "ratio": _ratio,
}


@dataclass(frozen=True)
class SplitHalf:
    """The result of `split_half_srcc`.

    Attributes:
        mean: of the correlations.
        std: their standard deviation over the divisions, which is not that over other people.
        values: the correlation of each division.
    """

    mean: float
    std: float
    values: tuple[float, ...]


def split_half_srcc(ratings: Ratings, repetitions: int = 10, *, seed: int = 0) -> SplitHalf:
    """Divide people into two halves at random, and return the rank correlation of the halves' mean ratings.

    As AGAV-Rater reports it: the mean over ten divisions. Only clips that both halves rated are compared. Half of the
    people agree less with each other than all agree with as many others.

    Args:
        ratings: of one dimension.
        repetitions: how many divisions.
        seed: of the divisions.

    Raises:
        ArgumentError: for fewer than two people, or if no division has two clips with different means in both halves.

    Example:
        >>> split_half_srcc(Ratings.from_array([[1, 2, 1, 2], [3, 4, 3, 3], [5, 5, 4, 4]])).mean
        1.0
    """
    if repetitions < 1:
        raise ArgumentError("repetitions", "a positive integer", repetitions)
    people = np.unique(ratings.person)
    if len(people) < 2:
        raise ArgumentError("ratings", "at least two people", Described(str(len(people))), "ask more people")
    generator, found = np.random.default_rng(seed), []
    for _ in range(repetitions):
        first = np.isin(ratings.person, generator.permutation(people)[: len(people) // 2])
        halves = [
            means(half.values, half.clip, len(half.clips)) for half in (ratings.kept(first), ratings.kept(~first))
        ]
        both = np.isfinite(halves[0]) & np.isfinite(halves[1])
        if both.sum() > 1:
            found.append(srcc(halves[0][both], halves[1][both]))
    defined = [value for value in found if np.isfinite(value)]
    if not defined:
        raise ArgumentError("ratings", "clips that both halves rated differently", Described("none"), "ask more people")
    return SplitHalf(float(np.mean(defined)), float(np.std(defined)), tuple(defined))
