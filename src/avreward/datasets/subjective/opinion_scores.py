"""Mean opinion scores from raw ratings, with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from avreward._display import SHOWN, Shown, ShownAsTable, counted
from avreward.datasets.subjective._sums import counts, means, spreads
from avreward.datasets.subjective.p910 import P910Fit, fit_p910
from avreward.datasets.subjective.ratings import Floats, Ratings, Whole
from avreward.datasets.subjective.rejection import reject_bt500, reject_by_correlation
from avreward.errors import ArgumentError, Described, unknown_name

if TYPE_CHECKING:
    import pandas

Method = Literal["mean", "z_score", "bias_removed", "p910"]
Rule = Literal["bt500", "correlation"]

DOMINANT = 0.9  # share of all weight, above which one person alone decides


@dataclass(frozen=True, eq=False, repr=False)
class OpinionScores(ShownAsTable):
    """The result of `mean_opinion_scores`.

    Attributes:
        clips: their names.
        mos: float64 (clips,); NaN for a clip without ratings that count.
        low: (clips,), the lower end of the interval; NaN where fewer than two ratings count.
        high: (clips,), the upper end.
        ratings: int64 (clips,), how many ratings count.
        method: how they were computed.
        left_out: person → why their ratings do not count.
        fit: of the method ``"p910"``, with everybody's bias and inconsistency.
    """

    clips: tuple[str, ...]
    mos: Floats
    low: Floats
    high: Floats
    ratings: Whole
    method: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    fit: P910Fit | None = None

    def to_frame(self) -> pandas.DataFrame:
        """Return a data frame with a row a clip: clip, mos, low, high, ratings."""
        import pandas

        names = ("clips", "mos", "low", "high", "ratings")
        return pandas.DataFrame({name.replace("clips", "clip"): getattr(self, name) for name in names})

    def _shown(self) -> Shown:
        columns = (self.clips, self.mos, self.low, self.high, self.ratings)
        rows = [[clip, *map(float, one), int(n)] for clip, *one, n in zip(*(c[:SHOWN] for c in columns), strict=True)]
        without = f", without {', '.join(self.left_out)}" if self.left_out else ""
        title = f"mean opinion scores ({self.method}) of {counted(len(self.clips), 'clip')}{without}"
        return title, ["clip", "mos", "low", "high", "ratings"], rows, len(self.clips)


def mean_opinion_scores(
    ratings: Ratings, method: Method = "mean", *, reject: Rule | None = None, level: float = 0.95
) -> OpinionScores:
    r"""Return the mean opinion score of each clip, with an interval.

    - ``"mean"``: the mean of the ratings.
    - ``"z_score"``: as AGAV-Rater and AIGV-Assessor compute it. Each rating becomes 100·(z + 3)/6, with z = (rating −
      mean) / standard deviation of that person's ratings (n − 1); then the mean. It is not clipped: 0 to 100 stand for
      z from −3 to 3.
    - ``"bias_removed"``: ITU-T P.913, clause 12.4. Each rating less the person's mean distance to the means of the
      clips; then the mean.
    - ``"p910"``: the maximum-likelihood model; see `fit_p910`.

    The interval of a clip is mean ± q·s/√n with the normal quantile q and the standard deviation s of its n ratings
    (n − 1; for ``"p910"``, of its residues, n). With few people it is a little too narrow.

    Args:
        ratings: see `read_ratings` and `Ratings.from_array`.
        method: see the table.
        reject: leave out people first: ``"bt500"`` (`reject_bt500`) or ``"correlation"`` (`reject_by_correlation`).
        level: of the intervals.

    Raises:
        ArgumentError: if only one person rated or is left by `reject`, for ``"z_score"`` if fewer than two gave
            different ratings, or for an unknown `method` or `reject`.

    Warns:
        UserWarning: if a person gave all clips the same, or rated once (they do not count in ``"z_score"``), if clips
            are without ratings, or if one person alone decides in ``"p910"``.

    Example:
        >>> ratings = Ratings.from_array([[1, 2, 1], [3, 4, 3], [5, 5, 4]], ["a", "b", "c"])
        >>> mean_opinion_scores(ratings, "z_score").mos.round(1)
        array([32.3, 52.4, 65.3])
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if reject is not None and reject not in REJECTIONS:
        raise unknown_name("reject", reject, REJECTIONS)
    if not 0 < level < 1:
        raise ArgumentError("level", "a number between 0 and 1", level)
    _check_several(ratings, "ask more people, or use the ratings as they are")
    left_out: dict[str, str] = {}
    if reject is not None:
        found = REJECTIONS[reject](ratings)
        left_out = {ratings.people[i]: _REASONS[reject] for i in np.flatnonzero(found.rejected)}
        ratings = ratings.kept(~found.rejected[ratings.person])
        _check_several(ratings, "compute without reject=…, or ask more people")
    mos, half, counted_in, more, fit = METHODS[method](ratings, float(stats.norm.ppf((1 + level) / 2)))
    left_out |= more
    for person, why in more.items():
        warnings.warn(f"{person}: {why}; their ratings do not count", stacklevel=2)
    if fit is not None:
        _warn_of_one_person(ratings, fit)
    empty = [ratings.clips[i] for i in np.flatnonzero(counted_in == 0)]
    if empty:
        some = f"{', '.join(empty[:3])}{f' and {len(empty) - 3} more' if len(empty) > 3 else ''}"
        warnings.warn(f"no rating that counts for {some}; their scores are missing", stacklevel=2)
    return OpinionScores(ratings.clips, mos, mos - half, mos + half, counted_in, method, left_out, fit)


def _check_several(ratings: Ratings, remedy: str) -> None:
    raters = np.unique(ratings.person)
    if len(raters) < 2:
        got = Described(f"only {ratings.people[raters[0]]}" if len(raters) else "none")
        raise ArgumentError("ratings", "at least two people", got, remedy)


Computed = tuple[Floats, Floats, Whole, dict[str, str], P910Fit | None]


def _plain(ratings: Ratings, z: float) -> Computed:
    clips = len(ratings.clips)
    many = counts(ratings.clip, clips)
    spread = spreads(ratings.values, ratings.clip, clips, less=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.where(many > 1, z * spread / np.sqrt(many), np.nan)
    return means(ratings.values, ratings.clip, clips), half, many.astype(np.int64), {}, None


def _z_scores(ratings: Ratings, z: float) -> Computed:
    people = len(ratings.people)
    middle = means(ratings.values, ratings.person, people)
    spread = spreads(ratings.values, ratings.person, people, less=1)
    usable = spread > 0  # false for NaN: one rating alone
    present = counts(ratings.person, people) > 0
    given = counts(ratings.person, people)
    constant = {
        ratings.people[i]: "rated once" if given[i] == 1 else "gave all clips the same rating"
        for i in np.flatnonzero(present & ~usable)
    }
    if usable.sum() < 2:
        got = Described("none" if not usable.any() else f"only {ratings.people[int(usable.argmax())]}")
        raise ArgumentError("ratings", "two people who gave different ratings", got, 'use method="mean"')
    kept = ratings.kept(usable[ratings.person])
    scores = (kept.values - middle[kept.person]) / spread[kept.person]
    mos, half, many, _, _ = _plain(kept.with_values(100 * (scores + 3) / 6), z)
    return mos, half, many, constant, None


def _bias_removed(ratings: Ratings, z: float) -> Computed:
    mos = means(ratings.values, ratings.clip, len(ratings.clips))
    bias = means(ratings.values - mos[ratings.clip], ratings.person, len(ratings.people))
    return _plain(ratings.with_values(ratings.values - bias[ratings.person]), z)


def _modelled(ratings: Ratings, z: float) -> Computed:
    fit = fit_p910(ratings)
    many = counts(ratings.clip, len(ratings.clips))
    return fit.mos, np.where(many > 1, z * fit.std, np.nan), many.astype(np.int64), {}, fit


def _warn_of_one_person(ratings: Ratings, fit: P910Fit) -> None:
    weights = np.nan_to_num(1 / (fit.inconsistency**2 + 1e-8)) * (fit.ratings > 0)
    first = int(weights.argmax())
    if weights[first] > DOMINANT * weights.sum() and np.nanmax(fit.inconsistency) > 1e-6:
        problem = f"the scores follow {ratings.people[first]} alone, whose inconsistency went to 0"
        warnings.warn(f'{problem}; there are too few ratings for method="p910", use "bias_removed"', stacklevel=3)


METHODS: Mapping[str, Callable[[Ratings, float], Computed]] = {
    "mean": _plain,
    "z_score": _z_scores,
    "bias_removed": _bias_removed,
    "p910": _modelled,
}
REJECTIONS = {"bt500": reject_bt500, "correlation": reject_by_correlation}
_REASONS = {"bt500": "often outside the band of BT.500, on both sides", "correlation": "follows the mean too little"}
