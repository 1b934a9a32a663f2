"""The numbers of one dimension of a comparison of systems: means, paired differences, wins, strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from avreward.evaluation._closed_tests import MOST_GROUPS, MOST_SYSTEMS, Pair, corrected_p, over_families
from avreward.evaluation._sign_flips import Array, SignFlips, fewest_groups, smallest_shown
from avreward.evaluation._system_rows import SystemRows
from avreward.evaluation._win_strengths import win_strengths

EXCHANGES = 5  # random signs of a pair for each random exchange of several systems, which takes longer


@dataclass(frozen=True)
class SystemScore:
    """One system on one dimension.

    Attributes:
        dimension: the column.
        system: the system.
        mean: over groups, of the mean of its clips in each; NaN if it has none.
        low, high: ends of the interval of the mean; infinite for too few groups.
        clips, groups: how many have a score.
        strength: Bradley–Terry strength, on a scale of log odds that sums to 0; NaN if it was compared with no other.
        strength_low, strength_high: ends of its interval.
    """

    dimension: str
    system: str
    mean: float
    low: float
    high: float
    clips: int
    groups: int
    strength: float
    strength_low: float
    strength_high: float


@dataclass(frozen=True)
class SystemDifference:
    """Two systems on one dimension, within the groups that have both.

    Attributes:
        dimension: the column.
        first, second: the systems.
        groups: how many have both.
        difference: mean of `first` minus mean of `second`.
        low, high: ends of its interval, for this pair by itself; infinite for too few groups.
        wins: share of comparisons within groups that `first` wins, a tie being half.
        p: p-value of "no difference" for this pair by itself.
        corrected: p-value corrected for the number of pairs and of dimensions.
        smallest: the difference that is found in about 80 % of such experiments after the correction; infinite where so
            few groups can show none.
        needed: groups without which no difference can be shown.
    """

    dimension: str
    first: str
    second: str
    groups: int
    difference: float
    low: float
    high: float
    wins: float
    p: float
    corrected: float
    smallest: float
    needed: int


@dataclass(frozen=True)
class Settings:
    """How the statistics are made; see `compare_systems`."""

    level: float
    draws: int
    seed: int


def of_dimension(
    rows: SystemRows, column: str, lower: bool, dimensions: int, settings: Settings
) -> tuple[list[SystemScore], list[SystemDifference]]:
    """Return what one dimension says about each system and about each pair; p-values corrected for pairs only."""
    cells, wins = rows.cells(column), rows.wins(column, lower)
    signs = Signs(settings)
    single = pair_p(cells, signs)
    corrected = corrected_p(cells, single, settings.draws // EXCHANGES, settings.seed)
    closed = len(rows.systems) <= MOST_SYSTEMS and len(rows.groups) <= MOST_GROUPS
    alpha = (1 - settings.level) / (dimensions * max(len(single), 1))
    needed = fewest_groups((1 - settings.level) / dimensions if closed else alpha)
    differences = []
    for (a, b), p in single.items():
        gap = gaps_of(cells, (a, b))
        low, high = signs.of(len(gap)).interval(gap, settings.level)
        shown = smallest_shown(float(gap.std(ddof=1)), len(gap), alpha) if len(gap) >= needed else math.inf
        differences.append(
            SystemDifference(
                column, rows.systems[a], rows.systems[b], len(gap), float(gap.mean()), low, high,
                float(np.nanmean(wins[:, a, b])), p, corrected[a, b], shown, needed,
            )
        )  # fmt: skip
    return _scores(rows, column, cells, wins, signs), differences


class Signs:
    """The signs of each number of groups, drawn once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known: dict[int, SignFlips] = {}

    def of(self, groups: int) -> SignFlips:
        """Return those for this number of groups."""
        if groups not in self._known:
            self._known[groups] = SignFlips(groups, self.settings.draws, self.settings.seed)
        return self._known[groups]


def pair_p(cells: Array, signs: Signs) -> dict[Pair, float]:
    """Return the p-value of each pair of systems that shares a group, by itself.

    Args:
        cells: (groups, systems) the mean of each system in each group, NaN where there is none.
        signs: of the settings.
    """
    gaps = {pair: gaps_of(cells, pair) for pair in combinations(range(cells.shape[1]), 2)}
    return {pair: signs.of(len(gap)).p(gap) for pair, gap in gaps.items() if len(gap)}


def corrected_over_dimensions(differences: list[list[SystemDifference]]) -> list[SystemDifference]:
    """Return the differences of all dimensions with p-values corrected for the number of dimensions as well."""
    found = over_families([[one.corrected for one in family] for family in differences])
    return [
        replace(one, corrected=p)
        for family, values in zip(differences, found, strict=True)
        for one, p in zip(family, values, strict=True)
    ]


def gaps_of(cells: Array, pair: Pair) -> Array:
    """Return the differences (groups,) of two systems in the groups that have both."""
    gap = cells[:, pair[0]] - cells[:, pair[1]]
    return gap[np.isfinite(gap)]


def _scores(rows: SystemRows, column: str, cells: Array, wins: Array, signs: Signs) -> list[SystemScore]:
    level = signs.settings.level
    strengths = _strengths(wins, level)
    scored = np.isfinite(rows.values[column])
    found = []
    for i, system in enumerate(rows.systems):
        mine = cells[np.isfinite(cells[:, i]), i]
        low, high = signs.of(len(mine)).interval(mine, level) if len(mine) else (math.nan, math.nan)
        mean = float(mine.mean()) if len(mine) else math.nan
        clips = int((scored & (rows.system == i)).sum())
        found.append(SystemScore(column, system, mean, low, high, clips, len(mine), *strengths[:, i].tolist()))
    return found


def _strengths(wins: Array, level: float) -> Array:
    """Return strengths and ends of their intervals (3, systems), NaN where nothing connects the systems."""
    from scipy.sparse.csgraph import connected_components

    found = np.full((3, wins.shape[1]), np.nan)
    met = np.asarray(np.isfinite(wins).any(axis=0))
    compared = np.flatnonzero(met.any(axis=1))
    if len(compared) and connected_components(met[np.ix_(compared, compared)], directed=False)[0] == 1:
        groups = np.isfinite(wins).any(axis=(1, 2))
        found[:, compared] = win_strengths(wins[groups][:, compared][:, :, compared], level)
    return found
