"""The maximum-likelihood model of ITU-T P.910 (annex E): a clip's quality, a person's bias and inconsistency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from avreward.datasets.subjective._sums import counts, means, spreads
from avreward.datasets.subjective.ratings import Floats, Ratings

ROUNDS, CLOSE, LEAST = 1000, 1e-8, 1e-8


@dataclass(frozen=True, eq=False)
class P910Fit:
    """The result of `fit_p910`.

    Attributes:
        mos: float64 (clips,), the quality of each clip; NaN for a clip without ratings.
        std: (clips,), the standard deviation of each, from the spread of the ratings of that clip.
        std_by_people: (clips,), the same in the older form, from the inconsistency of those who rated the clip.
        bias: (people,), how much higher each person rates than the others; they sum to 0.
        inconsistency: (people,), the standard deviation of each person's ratings about quality plus bias.
        ratings: (people,), how many each person gave.
        iterations: how many rounds it took.
        log_likelihood: mean over the ratings; NaN where a person's inconsistency is 0.
        aic: Akaike's criterion, a rating.
        bic: the Bayesian criterion, a rating.
    """

    mos: Floats
    std: Floats
    std_by_people: Floats
    bias: Floats
    inconsistency: Floats
    ratings: Floats
    iterations: int
    log_likelihood: float
    aic: float
    bic: float

    def mos_interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the ends (clips,) of the intervals of the qualities, by the normal distribution."""
        half = float(stats.norm.ppf((1 + level) / 2)) * self.std
        return self.mos - half, self.mos + half

    def bias_interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the ends (people,) of the intervals of the biases, by the normal distribution."""
        half = float(stats.norm.ppf((1 + level) / 2)) * self.inconsistency / np.sqrt(self.ratings)
        return self.bias - half, self.bias + half

    def inconsistency_interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the ends (people,) of the intervals of the inconsistencies, by the chi-squared distribution."""
        ends = (stats.chi2.ppf((1 + sign * level) / 2, self.ratings) for sign in (1, -1))
        low, high = (np.sqrt(self.ratings / end) * self.inconsistency for end in ends)
        return low, high


def fit_p910(ratings: Ratings) -> P910Fit:
    """Fit rating = quality of the clip + bias of the person + inconsistency of the person × normal noise.

    ITU-T P.910 (2023), annex E, and P.913, clause 12.6; Li, Bampis, Krasula, Janowski and Katsavounidis, "A simple
    model for subject behavior in subjective experiments", 2020. Alternating projections, started at the means. The
    likelihood has no upper bound where the quality can follow one person exactly: that person's inconsistency then
    goes to 0 and their ratings alone decide. It happens with few people or few ratings a person; look at
    `P910Fit.inconsistency`, or see whether `mean_opinion_scores` warns.

    Args:
        ratings: of several people.

    Example:
        >>> fit = fit_p910(Ratings.from_array([[1, 2, 1], [3, 4, 3], [2, 4, 3], [5, 5, 4]]))
        >>> fit.bias.round(2)
        array([-0.33,  0.67, -0.33])
    """
    clip, person, values = ratings.clip, ratings.person, ratings.values
    clips, people = len(ratings.clips), len(ratings.people)
    given = counts(person, people)
    mos = means(values, clip, clips)
    bias = means(values - mos[clip], person, people)
    iterations, change = 0, math.inf
    while change >= CLOSE and iterations < ROUNDS:
        iterations += 1
        residue = values - mos[clip] - bias[person]
        inconsistency = spreads(residue, person, people)
        weight = 1 / (inconsistency**2 + LEAST)
        before, mos = mos, means(values - bias[person], clip, clips, weight[person])
        bias = means(values - mos[clip], person, people)
        change = math.sqrt(np.nansum((mos - before) ** 2))
    spread = spreads(residue, clip, clips)
    with np.errstate(divide="ignore", invalid="ignore"):
        std = spread / np.sqrt(counts(clip, clips))
        by_people = 1 / np.sqrt(np.bincount(clip, 1 / inconsistency[person] ** 2, clips))
        log = stats.norm.logpdf(values, mos[clip] + bias[person], inconsistency[person])
    by_people = np.where(counts(clip, clips) > 0, by_people, np.nan)
    level = np.nanmean(bias)
    likelihood = float(np.mean(log)) if np.isfinite(log).all() else math.nan
    freedom = (clips + 2 * people) / len(values)
    aic, bic = 2 * freedom - 2 * likelihood, math.log(len(values)) * freedom - 2 * likelihood
    return P910Fit(mos + level, std, by_people, bias - level, inconsistency, given, iterations, likelihood, aic, bic)
