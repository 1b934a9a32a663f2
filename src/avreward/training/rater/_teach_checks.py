"""How well a taught rater predicts what it has not seen: by group, by system, beside simpler explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from avreward.training.rater._conditional_logit import ChoiceSets, Numbers, fit_choices
from avreward.training.rater._teach_parts import FittedHead, Form, fit_form, fit_head, folds_of

OUTER, DRAWS = 5, 1000


@dataclass(frozen=True)
class HeldOutAgreement:
    """How often a score agrees with choices.

    Attributes:
        by: which score it is, and what was held out.
        pairs: share of comparisons with the chosen one that it won; half for equal scores.
        low, high: 95 % interval of `pairs` over groups.
        best: share of choices in which the chosen one had the highest score.
        chance: `best` of a random score.
        groups: number of groups.
    """

    by: str
    pairs: float
    low: float
    high: float
    best: float
    chance: float
    groups: int

    @property
    def row(self) -> dict[str, str]:
        """The numbers as text, for tables."""
        interval = "–" if np.isnan(self.low) else f"{self.low:.2f} to {self.high:.2f}"
        texts = [f"{value:.2f}" if np.isfinite(value) else "–" for value in (self.pairs, self.best)]
        return {"by": self.by, "pairs": texts[0], "interval": interval, "best": texts[1]}


def held_out(by: str, utility: Numbers, sets: ChoiceSets) -> HeldOutAgreement:
    """Return how a score (a number a row) agrees with choices.

    Args:
        by: the name of the line.
        utility: of each row of features; NaN where there is none.
        sets: the choices.
    """
    lines = np.arange(len(sets))
    present = sets.rows >= 0
    u = np.where(present, utility[np.where(present, sets.rows, 0)], nan)
    own = u[lines, sets.chosen][:, None]
    counted = np.isfinite(u) & np.isfinite(own)
    counted[lines, sets.chosen] = False
    weight = counted * sets.weight[:, None] / np.maximum(present.sum(1) - 1, 1)[:, None]
    credit = (weight * ((own > u) + 0.5 * (own == u))).sum(1)
    total = weight.sum(1)
    count = int(sets.group.max(initial=-1)) + 1
    won, of = np.bincount(sets.group, credit, count), np.bincount(sets.group, total, count)
    groups = np.flatnonzero(of > 0)
    if not len(groups):
        return HeldOutAgreement(by, nan, nan, nan, nan, nan, 0)
    draws = np.random.default_rng(0).integers(len(groups), size=(DRAWS, len(groups)))
    shares = won[groups][draws].sum(1) / of[groups][draws].sum(1)
    low, high = np.quantile(shares, [0.025, 0.975])
    top = (counted & (u >= own)).sum(1) == 0
    whole = total > 0
    best = float(np.average(top[whole], weights=sets.weight[whole]))
    chance = float(np.average(1 / present[whole].sum(1), weights=sets.weight[whole]))
    return HeldOutAgreement(by, float(won.sum() / of.sum()), float(low), float(high), best, chance, len(groups))


@dataclass(frozen=True)
class Checks:
    """All lines, and what they warn of."""

    rows: tuple[HeldOutAgreement, ...]
    warnings: tuple[str, ...]

    def __getitem__(self, by: str) -> HeldOutAgreement:
        return next(row for row in self.rows if row.by == by)

    def __contains__(self, by: str) -> bool:
        return any(row.by == by for row in self.rows)


GROUPS, COMMON, SYSTEMS, NAMES = "new groups", "new groups, degraded", "new systems in new groups", "names of systems"


def check(
    features: Numbers,
    columns: Sequence[tuple[str, str]],
    sets: ChoiceSets,
    degraded: ChoiceSets | None,
    forms: Sequence[Form],
    systems: Sequence[str] | None,
    baselines: dict[str, Numbers],
    seed: int,
) -> Checks:
    """Return what held-out groups and systems say of a rater that is fitted as `fit_head` does."""
    folds = folds_of(sets.group, OUTER, seed)
    utility = np.full(len(features), nan)
    fits: list[FittedHead] = []
    for fold in range(OUTER):
        train = together(sets.only(folds != fold), None if degraded is None else degraded.only(folds != fold))
        fitted = fit_head(features, columns, train, forms)
        fits.append(fitted)
        _put(utility, fitted.utility(features), sets.only(folds == fold))
        if degraded is not None:
            _put(utility, fitted.utility(features), degraded.only(folds == fold))
    rows = [held_out(GROUPS, utility, sets)]
    if degraded is not None:
        rows.append(held_out(COMMON, utility, degraded))
    rows += [held_out(f"signals.{name}", np.append(v, nan), sets) for name, v in baselines.items()]
    if systems is not None:
        rows.append(_new_systems(features, columns, sets, degraded, folds, fits, systems))
        rows.append(_names(sets, folds, systems))
    checks = Checks(tuple(row for row in rows if row.groups), ())
    return Checks(checks.rows, tuple(_warnings(checks, sets, systems)))


def together(first: ChoiceSets, second: ChoiceSets | None) -> ChoiceSets:
    """Return the choices of both, half as heavy, so that a copy adds no evidence."""
    if second is None:
        return first
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("rows", "chosen", "weight", "group")]
    rows, chosen, weight, group = (np.concatenate(pair) for pair in pairs)
    return ChoiceSets(rows, chosen, weight / 2, group)


def _put(utility: Numbers, found: Numbers, sets: ChoiceSets) -> None:
    rows = np.unique(sets.rows[sets.rows >= 0])
    utility[rows] = found[rows]


def _new_systems(
    features: Numbers,
    columns: Sequence[tuple[str, str]],
    sets: ChoiceSets,
    degraded: ChoiceSets | None,
    folds: np.ndarray,
    fits: Sequence[FittedHead],
    systems: Sequence[str],
) -> HeldOutAgreement:
    """Return how a rater that never saw a system places its clips in groups that it never saw."""
    names = np.array(systems)
    lost = np.full(len(sets), nan)
    won, of = np.zeros(len(sets)), np.zeros(len(sets))
    for fold in range(OUTER):
        test = folds == fold
        for name in dict.fromkeys(systems):
            gone = names == name
            train = sets.only(~test).without(gone)
            if len(np.unique(train.group)) < OUTER:
                continue
            copies = None if degraded is None else degraded.only(~test).without(gone)
            fitted = fit_form(features, columns, together(train, copies), fits[fold].form, fits[fold].ridge)
            u = fitted.utility(features)
            for line in np.flatnonzero(test):
                own = sets.rows[line, sets.chosen[line]]
                for other in sets.rows[line]:
                    if other >= 0 and other != own and gone[own] != gone[other]:
                        won[line] += 1.0 if u[own] > u[other] else 0.5 if u[own] == u[other] else 0.0
                        of[line] += 1
    known = of > 0
    if not known.any():
        return HeldOutAgreement(SYSTEMS, nan, nan, nan, nan, nan, 0)
    lost[known] = won[known] / of[known]
    count = int(sets.group.max()) + 1
    credit = np.bincount(sets.group[known], (lost * sets.weight)[known], count)
    total = np.bincount(sets.group[known], sets.weight[known], count)
    groups = np.flatnonzero(total > 0)
    draws = np.random.default_rng(0).integers(len(groups), size=(DRAWS, len(groups)))
    shares = credit[groups][draws].sum(1) / total[groups][draws].sum(1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return HeldOutAgreement(SYSTEMS, float(credit.sum() / total.sum()), float(low), float(high), nan, nan, len(groups))


def _names(sets: ChoiceSets, folds: np.ndarray, systems: Sequence[str]) -> HeldOutAgreement:
    """Return how well the name of its system alone predicts what is chosen in held-out groups."""
    known = {name: i for i, name in enumerate(dict.fromkeys(systems))}
    table = np.eye(len(known))[[known[name] for name in systems]]
    utility = np.full(len(systems), nan)
    for fold in range(OUTER):
        weights = fit_choices(table, sets.only(folds != fold), np.ones(len(known)))
        _put(utility, table @ weights, sets.only(folds == fold))
    return held_out(NAMES, utility, sets)


def _warnings(checks: Checks, sets: ChoiceSets, systems: Sequence[str] | None) -> list[str]:
    found = []
    own = checks[GROUPS]
    winners = set() if systems is None else {systems[row] for row in sets.rows[np.arange(len(sets)), sets.chosen]}
    if len(winners) == 1:
        found.append(
            f"every choice fell on {min(winners)}: it may know that system's sound and no quality; add choices among "
            "other systems"
        )
    if own.low <= 0.5:
        found.insert(
            0,
            f"not learned: on groups that it has not seen, it agrees with {own.pairs:.0%} of the choices, where a coin "
            f"agrees with 50% (interval {own.low:.0%} to {own.high:.0%}); give more choices, or other encoders",
        )
        return found
    if COMMON in checks and checks[COMMON].low <= 0.5:
        found.append(
            "the format decides: with all audio in one low-quality format it agrees with "
            f"{checks[COMMON].pairs:.0%} of the choices, which a coin does, too"
        )
    if len(winners) > 1 and SYSTEMS in checks and checks[SYSTEMS].low <= 0.5:
        found.append(
            "it knows systems, not quality: on systems that it has not seen it agrees with "
            f"{checks[SYSTEMS].pairs:.0%} of the choices; do not use it on clips of other systems"
        )
    for row in checks.rows:
        if row.by.startswith("signals.") and row.pairs >= own.pairs:
            found.append(f"{row.by} agrees with as many choices ({row.pairs:.0%}) and needs no teaching")
    return found
