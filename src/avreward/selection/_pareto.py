"""The Pareto front over several dimensions, and the fronts behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError, Described
from avreward.raters.scores import Scores
from avreward.rewards.results import MissingScore


@dataclass(frozen=True)
class ParetoFront:
    """Candidates by front; indices refer to the candidates in the given order.

    Attributes:
        dimensions: names of the compared dimensions.
        fronts: indices per front; the first is the Pareto front, the second that of the rest, and so on.
        missing: index of each candidate that lacks a score → which one, and why.
    """

    dimensions: tuple[str, ...]
    fronts: tuple[tuple[int, ...], ...]
    missing: dict[int, str]

    @property
    def front(self) -> tuple[int, ...]:
        """Indices of the candidates that no other dominates, in the given order."""
        return self.fronts[0]


def pareto_front(candidates: Sequence[object], scores: Scores, dimensions: Sequence[str] | None = None) -> ParetoFront:
    """Return the candidates that no other dominates, and the fronts behind them.

    A candidate dominates another if it is at least as good in every dimension and better in one. Candidates with equal
    scores share a front.

    Args:
        candidates: at least one, of any type (clips, paths).
        scores: one row per candidate.
        dimensions: names of the dimensions to compare. Default: all except details and those for which neither more nor
            less is better. If less is better, the score is negated.

    Raises:
        ArgumentError: if there are no candidates, not one row of scores for each, no dimensions, or a dimension for
            which neither more nor less is better.
        UnknownNameError: if a dimension does not exist.
        MissingScore: with the reasons, if no candidate has all scores.

    Example:
        >>> several = [*clips, Clip(video=clip.video, fps=clip.fps)]
        >>> found = pareto_front(several, rater(several), ["audio_quality", "av_consistency"])
        >>> found.front, found.missing
        ((0, 1, 2), {3: 'audio_quality: no audio was given; av_consistency: no audio was given'})
    """
    if not candidates:
        raise ArgumentError("candidates", "at least one", Described("none"))
    if len(scores) != len(candidates):
        raise ArgumentError("scores", f"one row for each of {len(candidates)} candidates", Described(str(len(scores))))
    known = {one.name: one for one in scores.dimensions}
    if dimensions is None:
        dimensions = [name for name, one in known.items() if one.higher_is_better is not None and not one.detail]
    if not dimensions:
        raise ArgumentError("dimensions", "at least one for which more or less is better", Described("none"))
    columns = [scores.column(name) for name in dimensions]
    odd = [name for name in dimensions if known[name].higher_is_better is None]
    if odd:
        expected = "dimensions for which more or less is better"
        raise ArgumentError("dimensions", expected, Described(", ".join(odd)), "leave them out")
    missing = _missing(scores, dimensions, columns)
    rows = [i for i in range(len(candidates)) if i not in missing]
    if not rows:
        names = [str(getattr(candidate, "name", candidate)) for candidate in candidates]
        raise MissingScore.of(names, missing, "name dimensions that the candidates have")
    signs = np.array([1.0 if known[name].higher_is_better else -1.0 for name in dimensions])
    values = scores.values.detach().double().cpu().numpy()[rows][:, columns] * signs
    fronts = tuple(tuple(rows[i] for i in front) for front in fronts_of(values))
    return ParetoFront(tuple(dimensions), fronts, missing)


def fronts_of(values: NDArray[np.float64]) -> list[list[int]]:
    """Return the rows of `values` (n, dimensions) by front; larger is better (non-dominated sorting, n² comparisons).

    Example:
        >>> fronts_of(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 1.0], [2.0, 2.0]]))
        [[0, 1, 3], [2]]
    """
    left, fronts = np.arange(len(values)), []
    while len(left):
        some = values[left]
        beaten = np.array([((some >= one).all(axis=1) & (some > one).any(axis=1)).any() for one in some])
        fronts.append(left[~beaten].tolist())
        left = left[beaten]
    return fronts


def _missing(scores: Scores, dimensions: Sequence[str], columns: Sequence[int]) -> dict[int, str]:
    found = {}
    for i in range(len(scores)):
        lacking = [
            name for name, column in zip(dimensions, columns, strict=True) if not bool(scores.present[i, column])
        ]
        if lacking:
            found[i] = "; ".join(f"{name}: {scores.reasons[i].get(name, 'no score')}" for name in lacking)
    return found
