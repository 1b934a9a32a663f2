"""Calibrate a cascade: how much a cheap rater may decide, at a known risk of deciding otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.evaluation._cluster_bootstrap import numbered
from avreward.evaluation._risk_bounds import fewest_groups, risk_p_value
from avreward.raters.base import Rater
from avreward.raters.scores import Scores
from avreward.raters.wrappers._cascade_rule import CascadeRule, Decision, Read
from avreward.raters.wrappers.cascade import CascadeRater, check_cascade

Numbers = NDArray[np.float64]
Part = tuple[Rater, str]
LEVELS = 40  # rules that are tried, from "the expensive rater decides nearly all" to "none"
NONE = sys.float_info.max  # where no known score or sigma is above it; files hold no infinity
FITTED, FEWEST = 1 / 3, 5  # share of the groups that line and levels are from; the fewest groups for that


@dataclass(frozen=True)
class _Data:
    """Scores where more is better, of clips that both raters rated; sigma of the cheap ones, infinite if unknown."""

    cheap: Numbers
    expensive: Numbers
    sigma: Numbers
    group: NDArray[np.int64]

    def only(self, groups: NDArray[np.int64]) -> _Data:
        keep = np.isin(self.group, groups)
        return _Data(self.cheap[keep], self.expensive[keep], self.sigma[keep], self.group[keep])

    def read(self, reads: Read) -> Numbers:
        return self.sigma if reads == "sigma" else self.cheap


class FewGroupsError(ArgumentError):
    """Too few groups for a risk."""


class NoRuleError(AvrewardError):
    """No rule is shown to keep a risk."""


def calibrate_cascade(
    cheap: Part,
    expensive: Part,
    clips: Sequence[Clip],
    groups: Sequence[Hashable],
    *,
    decision: Decision = "best",
    risk: float = 0.1,
    confidence: float = 0.95,
    name: str = "cascade",
    seed: int = 0,
) -> CascadeRater:
    """Return a cascade in which the cheap rater decides as much as the stated risk allows.

    Both raters rate all clips, without gradients. A third of the groups gives the line from cheap to expensive scores
    and the candidates for the rule: for ``"best"``, the expensive rater is asked about clips above a cheap score; for
    ``"pairs"``, about those between two; where the cheap rater knows its sigma, about those above a sigma. The
    others test the rules one after the other, from the most careful on, and stop at the first one whose risk may be
    above the bound: fixed-sequence testing, Angelopoulos et al., "Learn then test", arXiv:2110.01052, section 2.2.
    `CascadeRule` says what is promised, and for which groups.

    Args:
        cheap: the rater that rates every clip, and its dimension.
        expensive: the rater that is asked where the cheap one does not decide, and its dimension.
        clips: of many groups, such as candidates that a generator made for many prompts.
        groups: of each clip: its prompt or video. Independent of each other; those of one clip are left out.
        decision: what counts as wrong: another ``"best"`` clip of a group, or the share of its ``"pairs"`` in another
            order.
        risk: the largest accepted risk, between 0 and 1.
        confidence: with which it is kept, between 0 and 1.
        name: of the cascade, as used in expressions.
        seed: of the split of the groups.

    Raises:
        ArgumentError: for one and the same rater twice, a dimension without a better end, lengths that differ, or too
            few groups for the risk.
        AvrewardError: if no rule is shown to keep the risk.

    Example:
        >>> calibrate_cascade((quick, "overall"), (large, "quality"), clips, prompts)  # doctest: +SKIP
    """
    check_cascade((cheap[0], cheap[0].dimension(cheap[1])), (expensive[0], expensive[0].dimension(expensive[1])))
    if len(groups) != len(clips):
        raise ArgumentError("groups", f"one a clip ({len(clips)})", Described(str(len(groups))))
    check_settings(decision, risk, confidence, seed)
    check_group_count(numbered(groups) if len(groups) else np.zeros(0, np.int64), risk, confidence)  # before rating
    with torch.no_grad():
        first, second = cheap[0](clips), expensive[0](clips)
    rule = cascade_rule(
        cheap, expensive, first, second, groups, decision=decision, risk=risk, confidence=confidence, seed=seed
    )
    return CascadeRater(cheap[0], expensive[0], rule, name)


def cascade_rule(
    cheap: Part,
    expensive: Part,
    first: Scores,
    second: Scores,
    groups: Sequence[Hashable],
    *,
    decision: Decision = "best",
    risk: float = 0.1,
    confidence: float = 0.95,
    seed: int = 0,
) -> CascadeRule:
    """Return the rule that `calibrate_cascade` finds, from scores of both raters for the same clips."""
    check_settings(decision, risk, confidence, seed)
    risk, confidence = float(risk), float(confidence)
    data, signs = _data(cheap, expensive, first, second, groups)
    usable = check_group_count(data.group, risk, confidence)
    order = np.random.default_rng(seed).permutation(usable)
    cut = max(FEWEST, int(len(order) * FITTED))
    fitted, tested = data.only(order[:cut]), data.only(order[cut:])
    reads: Read = "sigma" if np.isfinite(fitted.sigma).any() else "score"
    slope, intercept = _line(fitted, reads, cheap, expensive)
    found: tuple[float, float, float, float] | None = None
    for low, high in _intervals(fitted.read(reads), reads, decision):
        asked = (tested.read(reads) >= low) & (tested.read(reads) <= high)
        made = np.where(asked, tested.expensive, slope * tested.cheap + intercept)
        losses = group_losses(made, tested.expensive, tested.group, decision)
        if risk_p_value(losses, risk, yes_or_no=decision == "best") > 1 - confidence:
            break
        found = low, high, float(losses.mean()), float(asked.mean())
    if found is None or found[3] == 1.0:
        names = (f"{rater.name}.{dimension}" for rater, dimension in (cheap, expensive))
        raise NoRuleError(
            f"cascade: expected that {next(names)} decides some clips as {next(names)} "
            f"does, at a risk of {risk:g}, got none; accept a larger risk, or use {expensive[0].name} alone"
        )
    low, high = (found[0], found[1]) if reads == "sigma" or signs[0] > 0 else (-found[1], -found[0])
    return CascadeRule(
        (cheap[1], expensive[1]),
        (cheap[0].fingerprint, expensive[0].fingerprint),
        slope * signs[0] * signs[1],
        intercept * signs[1],
        reads,
        low,
        high,
        decision,
        risk,
        confidence,
        len(np.unique(tested.group)),
        found[2],
        found[3],
    )


def group_losses(made: Numbers, truth: Numbers, group: NDArray[np.int64], decision: Decision) -> Numbers:
    """Return the loss of each group: whether the best by `made` is not the best by `truth`, or the share of pairs.

    Clips that are equal by `truth` may be in any order; a pair that is equal by `made` alone is wrong.
    """
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    parts = zip(np.split(made[order], cuts), np.split(truth[order], cuts), strict=True)
    return np.array([_LOSSES[decision](own, other) for own, other in parts])


def _best_loss(made: Numbers, truth: Numbers) -> float:
    return float(truth[int(made.argmax())] < truth.max())


def _pair_loss(made: Numbers, truth: Numbers) -> float:
    first, second = _pairs(len(made))
    wanted = np.sign(truth[first] - truth[second])
    wrong = (np.sign(made[first] - made[second]) != wanted) & (wanted != 0)
    return float(wrong.mean())


@cache
def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(count, 1)


_LOSSES: dict[str, Callable[[Numbers, Numbers], float]] = {"best": _best_loss, "pairs": _pair_loss}


def check_group_count(group: NDArray[np.int64], risk: float, confidence: float) -> NDArray[np.int64]:
    """Return the groups of two clips or more; raise `FewGroupsError` if they are too few for a risk."""
    numbers, counts = np.unique(group, return_counts=True)
    usable = numbers[counts > 1]
    needed = fewest_groups(risk, confidence)
    wanted = needed + max(FEWEST, needed // 2 + 1)
    if len(usable) < wanted:
        expected = f"at least {wanted} groups of two rated clips or more, for a risk of {risk:g} at {confidence:g}"
        got = Described(str(len(usable)) if len(usable) else "none")
        raise FewGroupsError("groups", expected, got, "rate more groups, or accept a larger risk")
    return np.asarray(usable)


def check_settings(decision: object, risk: object, confidence: object, seed: object) -> None:
    """Raise `ArgumentError` for settings of `calibrate_cascade` that can't be used."""
    if decision not in get_args(Decision):
        raise unknown_name("decision", decision, get_args(Decision))
    for name, value in (("risk", risk), ("confidence", confidence)):
        if not (isinstance(value, Real) and 0 < value < 1):  # type: ignore[operator]  # all that are Real compare
            raise ArgumentError(name, "a number between 0 and 1, such as 0.1 and 0.95", value)
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= int(seed) < 2**63:
        raise ArgumentError("seed", "an integer of 0 or more, below 2 ** 63", seed)


def _data(
    cheap: Part, expensive: Part, first: Scores, second: Scores, groups: Sequence[Hashable]
) -> tuple[_Data, tuple[int, int]]:
    """Return what both raters say of the clips that both rated, and the signs that turn more into better."""
    columns = first.column(cheap[1]), second.column(expensive[1])
    if not len(first) == len(second) == len(groups):
        got = Described(f"{len(first)}, {len(second)} and {len(groups)}")
        raise ArgumentError("scores", "scores of the same clips by both raters, and a group a clip", got)
    both = (first.present[:, columns[0]].cpu() & second.present[:, columns[1]].cpu()).numpy()
    signs = tuple(-1 if p[0].dimension(p[1]).higher_is_better is False else 1 for p in (cheap, expensive))
    x, y = (
        sign * scores.values[:, column].detach().double().cpu().numpy()[both]
        for sign, scores, column in zip(signs, (first, second), columns, strict=True)
    )
    sigma = np.full_like(x, np.inf)
    if first.sigma is not None:
        given = first.sigma[:, columns[0]].detach().double().cpu().numpy()[both]
        sigma = np.where(np.isnan(given), np.inf, given)  # an unknown sigma is asked about
    return _Data(x, y, sigma, numbered(groups)[both]), (signs[0], signs[1])


def _line(data: _Data, reads: Read, cheap: Part, expensive: Part) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line from cheap to expensive scores; doubtful ones count less."""
    weight = np.ones_like(data.cheap)
    if reads == "sigma":
        usual = float(np.median(data.sigma[np.isfinite(data.sigma)]))
        weight = 1 / (data.sigma**2 + usual**2) if usual > 0 else weight
    middle = np.average(data.cheap, weights=weight)
    spread = float((weight * (data.cheap - middle) ** 2).sum())
    slope = float((weight * (data.cheap - middle) * data.expensive).sum()) / spread if spread > 0 else 0.0
    if not slope > 0:
        names = (f"{rater.name}.{dimension}" for rater, dimension in (cheap, expensive))
        raise NoRuleError(
            f"cascade: expected scores of {next(names)} that rise with {next(names)}, "
            "got ones that do not; choose another cheap rater"
        )
    return slope, float(np.average(data.expensive, weights=weight)) - slope * float(middle)


def _intervals(read: Numbers, reads: Read, decision: Decision) -> list[tuple[float, float]]:
    """Return the intervals in which the expensive rater is asked, the widest first; they are from other groups."""
    shares = np.arange(1, LEVELS + 1) / LEVELS
    known = read[np.isfinite(read)]
    if reads == "score" and decision == "pairs":
        ends = zip(np.quantile(known, shares / 2), np.quantile(known, 1 - shares / 2), strict=True)
        return [(float(low), float(high)) for low, high in ends]
    return [*((float(low), np.inf) for low in np.quantile(known, shares)), (NONE, np.inf)]
