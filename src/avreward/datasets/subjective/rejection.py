"""Whose ratings to leave out, after ITU-R BT.500 and ITU-T P.913."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.datasets.subjective._sums import counts, means, spreads
from avreward.datasets.subjective.ratings import Floats, Ratings

OUTSIDE, ONE_SIDED = 0.05, 0.3  # BT.500: share of ratings, and asymmetry, beyond which a person is left out
LOWEST = 0.7  # P.913: a correlation above it never leaves a person out


@dataclass(frozen=True, eq=False)
class Rejection:
    """Who is left out, and why.

    Attributes:
        rejected: bool (people,).
        outside: (people,), BT.500: the ratings outside the band of their clips, as a share of all clips; P.913: the
            correlation with the mean.
        asymmetry: (people,), BT.500: |above − below| / (above + below); NaN for people who never leave the band, and
            for P.913.
    """

    rejected: NDArray[np.bool_]
    outside: Floats
    asymmetry: Floats


def reject_bt500(ratings: Ratings, *, literal: bool = False) -> Rejection:
    """Return who is left out after ITU-R BT.500-14, annex 1 to part 2, clause 2.3.1 (one round).

    The band of a clip is mean ± 2 standard deviations if the kurtosis of its ratings is from 2 to 4, else ± √20. A
    person is left out if more than 5 % of the clips are outside it and neither side has most of them (asymmetry below
    0.3): one who is consistently strict or kind stays. If all would be left out, nobody is.

    Args:
        ratings: of several people.
        literal: whether a clip that everybody rated alike counts as above and as below its band for everybody, since
            its ratings are at least mean + 0 and at most mean − 0: so the standard's comparisons have it as they are
            written, and the software that follows them. Otherwise such a clip is outside for nobody.

    Example:
        >>> reject_bt500(Ratings.from_array([[1, 2, 1], [3, 4, 3], [5, 5, 4]])).rejected
        array([False, False, False])
    """
    clip, person, values = ratings.clip, ratings.person, ratings.values
    clips, people = len(ratings.clips), len(ratings.people)
    middle, spread = means(values, clip, clips), spreads(values, clip, clips)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = means((values - middle[clip]) ** 4, clip, clips) / spread**4
    band = np.where((kurtosis >= 2) & (kurtosis <= 4), 2.0, np.sqrt(20)) * spread
    differ = (spread[clip] > 0) | literal
    above = counts(person[differ & (values >= (middle + band)[clip])], people)
    below = counts(person[differ & (values <= (middle - band)[clip])], people)
    with np.errstate(invalid="ignore"):
        asymmetry = np.abs(above - below) / (above + below)
    outside = (above + below) / clips
    rejected = (outside > OUTSIDE) & (asymmetry < ONE_SIDED)
    return Rejection(rejected & ~rejected.all(), outside, asymmetry)


def reject_by_correlation(ratings: Ratings) -> Rejection:
    """Return who is left out after ITU-T P.913, clause 12.4: those whose ratings follow the mean least.

    A person is left out if the linear correlation of their ratings with the mean of all is at most the mean of the
    correlations minus their standard deviation, but at most 0.7. A correlation that is undefined, as that of a person
    who gave every clip the same, leaves the person out. If all would be left out, nobody is.
    """
    table = ratings.table()
    mos = means(ratings.values, ratings.clip, len(ratings.clips))
    found = np.full(len(ratings.people), np.nan)
    for i, own in enumerate(table.T):
        both = np.isfinite(own)
        if both.sum() > 1 and np.ptp(own[both]) > 0 and np.ptp(mos[both]) > 0:
            found[i] = np.corrcoef(own[both], mos[both])[0, 1]
    defined = found[np.isfinite(found)]
    limit = min(LOWEST, float(defined.mean() - defined.std())) if len(defined) else LOWEST
    rejected = ~(found > limit)
    return Rejection(rejected & ~rejected.all(), found, np.full(len(found), np.nan))
