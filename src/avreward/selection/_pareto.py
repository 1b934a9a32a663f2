"""Who is not beaten in every respect: the Pareto front over several dimensions, and the fronts behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.errors import AvrewardError
from avreward.raters.scores import Scores
from avreward.rewards.results import MissingScore


@dataclass(frozen=True)
class ParetoFront:
    """Candidates by front; indices count in the candidates as they were given.

    Attributes:
        dimensions: what counted.
        fronts: indices; the first is the Pareto front, the second that of the others, and so on.
        missing: index of each candidate that lacks a score → which, and why.
    """

    dimensions: tuple[str, ...]
    fronts: tuple[tuple[int, ...], ...]
    missing: dict[int, str]

    @property
    def front(self) -> tuple[int, ...]:
        """Indices of those that no other dominates, in the order given."""
        return self.fronts[0]


def pareto_front(candidates: Sequence[object], scores: Scores, dimensions: Sequence[str] | None = None) -> ParetoFront:
    """The candidates that no other is at least as good as in every dimension and better in one; equals stay together.

    Args:
        candidates: at least one (clips, paths, anything).
        scores: a row each.
        dimensions: names (*optional*): by default all that are no details and have a better end. Where less is better
            the score counts the other way round.

    Raises `AvrewardError` for no candidates or a dimension without a better end, `KeyError` for an unknown one, and
    `MissingScore` where no candidate has all scores.

    >>> films = [*clips, Clip(video=clip.video, fps=clip.fps)]
    >>> found = pareto_front(films, rater(films), ["audio_quality", "av_consistency"])
    >>> found.front, found.missing
    ((0, 1), {3: 'audio_quality: no audio was given; av_consistency: no audio was given'})
    """
    if not candidates:
        raise AvrewardError("candidates: none; pass at least one")
    if len(scores) != len(candidates):
        raise AvrewardError(f"scores: {len(scores)} rows for {len(candidates)} candidates; pass one each")
    known = {one.name: one for one in scores.dimensions}
    if dimensions is None:
        dimensions = [name for name, one in known.items() if one.higher_is_better is not None and not one.detail]
    if not dimensions:
        raise AvrewardError("dimensions: none that has a better end; name one at least")
    columns = [scores.column(name) for name in dimensions]
    odd = [name for name in dimensions if known[name].higher_is_better is None]
    if odd:
        raise AvrewardError(f"dimensions: neither end of {', '.join(odd)} is better; leave it out")
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
    """Rows of `values` (n, dimensions), larger being better, by front (non-dominated sorting; n² comparisons).

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
