"""Why the best candidate of a ranking won: what sets it apart from the runner-up and from the group's mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from avreward import _display
from avreward.errors import ArgumentError, Described
from avreward.report._measured import measured
from avreward.report.build import label_of, shown
from avreward.report.data import MeasurementView
from avreward.report.page import lower_first, number, signed, words
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import Reward
from avreward.selection._selection import Selection

POINTS = 64  # of the way from one candidate's scores to another's at which the reward's slope is taken
NAMED = 3  # differences in the sentence
LEAST = 0.05  # points of a measurement; a smaller part is not listed
MINOR = 0.05  # of the largest part; smaller ones are not in the sentence
SMALL = 1e-9  # a difference of penalties; a smaller one is a rounding error


@dataclass(frozen=True)
class Contrast:
    """One dimension or measurement of the best candidate, compared with the others.

    Attributes:
        kind: ``"dimension"`` or ``"measurement"``.
        name: of the dimension or measurement.
        best, runner_up, mean: its value for the best candidate, for the runner-up, and the mean of all; `None` where
            missing.
        over_runner_up, over_mean: the difference of a dimension; of a measurement, its part in the difference of its
            dimension.
        of_reward, of_reward_mean: the part of the difference in reward that a term makes up, likewise; `None` for all
            others.
        unit: of the values.
        feeds: the dimension that a measurement is part of.
    """

    kind: Literal["dimension", "measurement"]
    name: str
    best: float | None
    runner_up: float | None
    mean: float | None
    over_runner_up: float | None
    over_mean: float | None
    of_reward: float | None = None
    of_reward_mean: float | None = None
    unit: str = ""
    feeds: str = ""


@dataclass(frozen=True, repr=False)
class Why(_display.ShownAsTable):
    """What sets the best candidate apart.

    Attributes:
        best, runner_up: names of the first two candidates.
        by, by_mean: how much higher the best candidate's reward is than the runner-up's, and than the mean of all.
        rows: dimensions, then measurements, those with the largest difference first; what is equal for all candidates
            is left out.
        equal: names of the dimensions that are equal for all candidates.
        count: the number of ranked candidates.
        basis: names of the dimensions that the reward is fused from; empty if it is not.
    """

    best: str
    runner_up: str
    by: float
    by_mean: float
    rows: tuple[Contrast, ...]
    equal: tuple[str, ...]
    count: int
    basis: tuple[str, ...] = ()

    @property
    def dimensions(self) -> tuple[Contrast, ...]:
        """The rows of dimensions."""
        return tuple(row for row in self.rows if row.kind == "dimension")

    @property
    def measurements(self) -> tuple[Contrast, ...]:
        """The rows of measurements."""
        return tuple(row for row in self.rows if row.kind == "measurement")

    def sentence(self) -> str:
        """Return the difference to the runner-up in a sentence, with the largest parts of it.

        The parts are those of the reward where it has several terms, otherwise the dimensions that it is fused from.
        """
        parts = [(row.name, row.of_reward) for row in self.dimensions if row.of_reward is not None]
        fused = [(row.name, row.over_runner_up) for row in self.dimensions if row.name in self.basis]
        told = _largest(parts or fused)
        start = f"{self.best} won over {self.runner_up} by {signed(self.by).removeprefix('+')}"
        return f"{start}: {told}" if told else start

    def details(self) -> str:
        """Return the measurements that set the two apart most, in a sentence; empty if none does."""
        told = _largest([(row.name, row.over_runner_up) for row in self.measurements])
        return f"Measurements, in points of their dimension: {told}" if told else ""

    def to_json(self) -> dict[str, Any]:
        """Return the content as plain data for JSON."""
        return asdict(self) | {"rows": [asdict(row) for row in self.rows], "equal": list(self.equal)}

    def _shown(self) -> _display.Shown:
        columns = ["", "best", "runner-up", "mean", "over runner-up", "over mean"]
        rows = [(row.name, row.best, row.runner_up, row.mean, row.over_runner_up, row.over_mean) for row in self.rows]
        return self.sentence(), columns, rows, len(rows)


def why_it_won(
    picked: Selection,
    reward: RewardLike,
    names: Sequence[str] = (),
    measurements: Mapping[int, Sequence[MeasurementView]] | None = None,
) -> Why:
    """Return what sets the best candidate of a ranking apart from the runner-up and from the mean of all.

    Args:
        picked: a ranking of two or more candidates.
        reward: the reward that ranked them.
        names: of all candidates (*optional*, those of `picked`).
        measurements: index of each ranked candidate → its measurements (*optional*, measured now, by raters with an
            `explain` method).

    Raises:
        ArgumentError: if fewer than two candidates are ranked.

    Example:
        >>> why = why_it_won(best_of_n(["dub1.mp4", "dub2.mp4"], "audio_quality"), "audio_quality")
        >>> why.best, why.runner_up, why.equal
        ('dub2.mp4', 'dub1.mp4', ('static_quality', 'temporal_smoothness', 'dynamic_degree'))
    """
    reward, order = as_reward(reward), picked.order
    if len(order) < 2:
        raise ArgumentError("picked", "a ranking of at least two candidates", Described(f"one of {len(order)}"))
    called = list(names) or [picked.candidates[i].name for i in range(len(picked.candidates))]
    values = [float(picked.rewards.values[i].detach()) for i in order]
    dimensions, equal = _dimensions(picked, reward)
    if measurements is None:
        measurements = {i: measurements_of(picked, reward, i) for i in order}
    return Why(
        called[order[0]],
        called[order[1]],
        values[0] - values[1],
        values[0] - sum(values) / len(values),
        (*_sorted(dimensions), *_sorted(_measurements(picked, reward, [measurements[i] for i in order]))),
        tuple(equal),
        len(order),
        tuple(picked.rewards.basis[order[0]]),
    )


def measurements_of(picked: Selection, reward: Reward, i: int) -> list[MeasurementView]:
    """Return the measurements of one candidate; none, without opening it, where no rater explains its scores."""
    raters = [rater for rater in reward.raters if hasattr(rater, "explain")]
    return measured(picked.clip(i), raters, picked.rewards.scores, i) if raters else []


def _dimensions(picked: Selection, reward: Reward) -> tuple[list[Contrast], list[str]]:
    """Return the contrasts of the shown dimensions, and the names of those that are equal for all."""
    contrasts, equal = [], []
    parts = _parts_of_reward(picked, reward)
    for rater, dimension in shown(reward):
        scores = picked.rewards.scores[rater.name]
        column = scores.column(dimension.name)
        values = [float(scores.values[i, column]) if scores.present[i, column] else None for i in picked.order]
        name = label_of(rater, dimension, reward)
        if _same(values):
            equal += [name] if values[0] is not None else []
            continue
        best, second, mean = values[0], values[1], _mean(values)
        first, average = parts.get(f"{rater.name}.{dimension.name}", (None, None))
        over = (_minus(best, second), _minus(best, mean))
        contrasts.append(Contrast("dimension", name, best, second, mean, *over, first, average, unit=dimension.unit))
    return contrasts, equal


def _measurements(picked: Selection, reward: Reward, each: Sequence[Sequence[MeasurementView]]) -> Iterator[Contrast]:
    """Yield the contrasts of the measurements of the ranked candidates, best first."""
    by_name = [{(m.feeds, m.name): m for m in own} for own in each]
    for feeds in dict.fromkeys(m.feeds for m in each[0] if m.penalty is not None):
        scores = _scores(picked, reward, feeds)
        parts = [
            _divided(by_name[0], other, feeds, scores[0], score) for other, score in zip(by_name, scores, strict=True)
        ]
        for name, runner_up in parts[1].items():
            over_mean = sum(part.get(name, 0.0) for part in parts) / len(parts)  # the best one's own part is 0
            if max(abs(runner_up), abs(over_mean)) < LEAST:
                continue
            values = [found[feeds, name].value if (feeds, name) in found else None for found in by_name]
            unit = by_name[0][feeds, name].unit
            means = (values[0], values[1], _mean(values))
            yield Contrast("measurement", name, *means, runner_up, over_mean, unit=unit, feeds=feeds)


def _scores(picked: Selection, reward: Reward, dimension: str) -> list[float | None]:
    """Return the ranked candidates' scores on a dimension."""
    for rater in reward.raters:
        scores = picked.rewards.scores[rater.name]
        if dimension in scores.names:
            column = scores.column(dimension)
            return [float(scores.values[i, column]) if scores.present[i, column] else None for i in picked.order]
    return [None] * len(picked.order)


def _divided(
    best: Mapping[tuple[str, str], MeasurementView],
    other: Mapping[tuple[str, str], MeasurementView],
    feeds: str,
    best_score: float | None,
    score: float | None,
) -> dict[str, float]:
    """Divide the difference of a dimension among its measurements, by the difference of their penalties.

    The score depends on the sum of the penalties, so these are the parts by Aumann and Shapley for any such function.
    """
    lower = {
        name: theirs.penalty - own.penalty
        for (of, name), own in best.items()
        if of == feeds and own.penalty is not None
        if (theirs := other.get((of, name))) is not None and theirs.penalty is not None
    }
    total = sum(lower.values())
    if best_score is None or score is None or abs(total) < SMALL:
        return {}
    return {name: (best_score - score) * penalty / total for name, penalty in lower.items()}


def _parts_of_reward(picked: Selection, reward: Reward) -> dict[str, tuple[float, float]]:
    """Return each term's part in the difference in reward to the runner-up and to the mean of all.

    A part is the difference of the term times the mean slope of the reward on the straight way between the two
    (Aumann and Shapley, Values of non-atomic games, 1974): the parts add up to the difference, for any function of
    the terms. A single term, and a reward whose weights depend on the prompt, has no parts.
    """
    terms = {name: column.detach().double() for name, column in picked.rewards.terms.items()}
    if len(terms) < 2 or reward.prompt_weights:
        return {}
    order = list(picked.order)
    best = {name: column[order[0]] for name, column in terms.items()}
    others = (
        {name: column[order[1]] for name, column in terms.items()},
        {name: column[order].mean() for name, column in terms.items()},
    )
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    found = []
    for other in others:
        with torch.enable_grad():
            way = {n: (other[n] + share.to(best[n].device) * (best[n] - other[n])).requires_grad_() for n in terms}
            slopes = torch.autograd.grad(reward.compute(way).sum(), list(way.values()), allow_unused=True)
        found.append({
            n: 0.0 if slope is None else float(slope.mean() * (best[n] - other[n]))
            for n, slope in zip(way, slopes, strict=True)
        })  # fmt: skip
    return {name: (found[0][name], found[1][name]) for name in terms}


def _largest(pairs: Sequence[tuple[str, float | None]]) -> str:
    known = sorted(((name, value) for name, value in pairs if value), key=lambda pair: -abs(pair[1]))
    told = [(name, value) for name, value in known[:NAMED] if abs(value) >= MINOR * abs(known[0][1])]
    return ", ".join(f"{lower_first(words(name))} {signed(value)}" for name, value in told)


def _sorted(rows: Sequence[Contrast] | Iterator[Contrast]) -> list[Contrast]:
    return sorted(rows, key=lambda row: -abs(row.over_runner_up or 0.0))


def _same(values: Sequence[float | None]) -> bool:
    """Return whether all values look the same in print."""
    return len({None if value is None else number(value) for value in values}) == 1


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
