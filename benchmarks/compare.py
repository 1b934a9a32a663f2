"""Does `avreward compare` say "different" too often, does it find differences, and do its intervals cover the truth?

    python benchmarks/compare.py [--runs 10000] [--seed 0] [--only WORDS]

*False alarms*: no two systems differ (in "one better", the others do not), so any corrected p-value of at most 5 % is
one. *Power*: one system is better by the difference that the result itself calls the smallest that it can show;
counted is how often it is shown. *Coverage*: of 95 % intervals of differences and of Bradley–Terry strengths. Run i of
a case has the seed (`seed`, i). The ± is a 95 % interval of the share. The exit code is 1 where false alarms of a case
are above 5.5 %. "Unequal shapes" lie outside the assumption: equal means, but the scores of one system are skewed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from avreward.evaluation import wilson
from avreward.evaluation._closed_tests import corrected_p, over_families
from avreward.evaluation._sign_flips import SignFlips
from avreward.evaluation._system_dimension import Settings, Signs, of_dimension, pair_p
from avreward.evaluation._system_rows import SystemRows
from avreward.evaluation._win_strengths import win_strengths

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Array]
ALLOWED, ALPHA = 0.055, 0.05


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return normal noise."""
    return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return exponential noise, with mean 0."""
    return rng.exponential(size=shape) - 1


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return noise with heavy tails: Student's t with 2 degrees of freedom."""
    return rng.standard_t(2, size=shape)


def stars(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return whole numbers from −1 to 1, so that most comparisons are ties."""
    return rng.integers(-1, 2, shape).astype(float)


@dataclass(frozen=True)
class Case:
    """One kind of table."""

    name: str
    systems: int = 2
    groups: int = 8
    clips: int = 1
    noise: Noise = normal
    dimensions: int = 1
    own: float = 0.0  # spread of a system's effect in a group, shared by its clips there
    absent: float = 0.0  # share of clips that failed
    better: float = 0.0  # of the first system
    draws: int = 299  # random exchanges a test; p-values are valid for any number

    def draw(self, rng: np.random.Generator) -> Array:
        """Return scores (dimensions, groups, systems, clips), NaN where a clip failed."""
        shape = (self.dimensions, self.groups, self.systems, self.clips)
        group = rng.normal(size=(1, self.groups, 1, 1))
        common = self.noise(rng, shape[1:])  # a dimension shares half of it with the others
        scores = common if self.dimensions == 1 else common + self.noise(rng, shape)
        scores = np.broadcast_to(scores, shape) + group + self.own * rng.normal(size=(*shape[:3], 1))
        scores[0, :, 0] += self.better
        return np.where(rng.random(shape[1:]) < self.absent, np.nan, scores)


NULLS = (
    *(Case(f"2 systems, {groups} groups", groups=groups) for groups in (5, 6, 8, 20)),
    *(Case(f"skewed, {groups} groups", groups=groups, noise=skewed) for groups in (5, 8, 20)),
    *(Case(f"ties, {groups} groups", groups=groups, noise=stars) for groups in (5, 8, 20)),
    Case("heavy tails, 8 groups", noise=heavy),
    Case("4 clips a system in a group, 8 groups", clips=4, own=1.0),
    Case("4 clips, a quarter failed, skewed, 8 groups", clips=4, absent=0.25, noise=skewed),
    Case("3 systems, 8 groups", systems=3),
    Case("3 systems, a fifth of the clips failed, 8 groups", systems=3, absent=0.2),
    Case("5 systems, 8 groups", systems=5),
    Case("5 systems, skewed, 8 groups", systems=5, noise=skewed),
    Case("4 systems, ties, 20 groups", systems=4, groups=20, noise=stars),
    Case("8 systems, 20 groups (Holm)", systems=8, groups=20, draws=2999),
    Case("2 systems, 4 dimensions, 8 groups", dimensions=4),
    Case("4 systems, 3 dimensions, 8 groups", systems=4, dimensions=3),
    Case("one better, 3 equal, 8 groups", systems=4, better=3.0),
)
EFFECTS = (
    *(Case("2 systems", groups=groups, draws=1999) for groups in (6, 8, 20, 50)),
    *(Case("2 systems, skewed", groups=groups, noise=skewed, draws=1999) for groups in (8, 20)),
    Case("4 clips a system in a group", clips=4, own=1.0, draws=1999),
    Case("5 systems", systems=5, groups=8, draws=999),
    Case("2 systems, 4 dimensions", dimensions=4, groups=8, draws=1999),
)


def false_alarms(case: Case, runs: int, seed: int) -> int:
    """Return in how many runs a difference is shown between systems that are equal."""
    wrong = 0
    for run in range(runs):
        cells = means(case.draw(np.random.default_rng([seed, run])))
        equal = [pair for pair in combinations(range(case.systems), 2) if not (case.better and 0 in pair)]
        wrong += any(one.get(pair, 1.0) <= ALPHA for one in p_values(cells, case.draws, run) for pair in equal)
    return wrong


def p_values(cells: Array, draws: int, seed: int) -> list[dict[tuple[int, int], float]]:
    """Return pair → corrected p-value, for each dimension of cells (dimensions, groups, systems).

    A corrected p-value is never below the plain one, so nothing is corrected if all of those are above 5 %.
    """
    signs = Signs(Settings(1 - ALPHA, draws, seed))
    single = [pair_p(dimension, signs) for dimension in cells]
    if all(p > ALPHA for one in single for p in one.values()):
        return single
    found = [corrected_p(dimension, one, draws, seed) for dimension, one in zip(cells, single, strict=True)]
    corrected = over_families([list(one.values()) for one in found])
    return [dict(zip(one, values, strict=True)) for one, values in zip(found, corrected, strict=True)]


def means(scores: Array) -> Array:
    """Return the mean of each system in each group, NaN where all its clips failed."""
    there = np.isfinite(scores)
    total, count = np.where(there, scores, 0.0).sum(axis=-1), there.sum(axis=-1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def rows_of(scores: Array) -> SystemRows:
    """Return the scores as the rows of a table."""
    _, groups, systems, clips = scores.shape
    group, system, _ = np.indices((groups, systems, clips)).reshape(3, -1)
    values = {f"d{i}": one.reshape(-1) for i, one in enumerate(scores)}
    names = tuple(map(str, range(max(groups, systems))))
    return SystemRows(names[:systems], names[:groups], system, group, values, ("",) * len(group), None, "", ())


def smallest(case: Case, runs: int, seed: int) -> float:
    """Return the smallest difference that the results call showable, on average."""
    found = [_differences(case, np.random.default_rng([seed, 1, run]), run)[0].smallest for run in range(runs)]
    return float(np.mean(found))


def _differences(case: Case, rng: np.random.Generator, seed: int):
    return of_dimension(rows_of(case.draw(rng)), "d0", False, case.dimensions, Settings(0.95, case.draws, seed))[1]


def power(case: Case, better: float, runs: int, seed: int) -> tuple[int, int]:
    """Return in how many runs the first system is shown to beat the second, and the interval covers the difference."""
    shown = covered = 0
    case = Case(**{**case.__dict__, "better": better})
    for run in range(runs):
        cells = means(case.draw(np.random.default_rng([seed, 2, run])))
        shown += p_values(cells, case.draws, run)[0][0, 1] <= ALPHA
        gap = cells[0, :, 0] - cells[0, :, 1]
        low, high = SignFlips(len(gap), case.draws, run).interval(gap, 0.95)
        covered += low <= better <= high
    return shown, covered


def strengths(quality: tuple[float, ...], groups: int, clips: int, own: float, runs: int, seed: int) -> int:
    """Return in how many runs the interval of the first system's strength covers its value for very many groups."""

    def wins(rng: np.random.Generator, groups: int) -> Array:
        shape = (groups, len(quality), clips)
        scores = np.array(quality)[:, None] + own * rng.normal(size=(*shape[:2], 1)) + rng.gumbel(size=shape)
        found = (scores[:, :, None, :, None] > scores[:, None, :, None, :]).mean(axis=(3, 4))
        found[:, range(len(quality)), range(len(quality))] = np.nan
        return found

    truth = win_strengths(wins(np.random.default_rng([seed, 3]), 20_000), 0.95)[0][0]
    covered = 0
    for run in range(runs):
        _, low, high = win_strengths(wins(np.random.default_rng([seed, 4, run]), groups), 0.95)
        covered += low[0] <= truth <= high[0]
    return covered


def unequal(groups: int, runs: int, seed: int) -> int:
    """Return in how many runs systems of equal means and unequal shapes are called different."""
    wrong = 0
    for run in range(runs):
        rng = np.random.default_rng([seed, 5, run])
        cells = np.stack([skewed(rng, (groups,)), 0.3 * normal(rng, (groups,))], axis=1)
        wrong += p_values(cells[None], 299, run)[0][0, 1] <= ALPHA
    return wrong


def share(count: int, runs: int) -> str:
    """Return a share in percent with half the width of its interval."""
    low, high = wilson(count, runs)
    return f"{100 * count / runs:.1f} ± {50 * (high - low):.1f} %"


def tables(runs: int, seed: int, only: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of the tables, and whether each is within what is allowed."""
    few = max(runs // 5, 1)
    yield f"False alarms at 5 %, {runs} runs a row:\n\n| systems that do not differ | false alarms |\n|---|---:|", True
    for case in NULLS:
        if only in case.name:
            wrong = false_alarms(case, runs, seed)
            yield f"| {case.name} | {share(wrong, runs)} |", wrong / runs <= ALLOWED
    yield f"\nPower and coverage, {few} runs a row:\n", True
    yield "| case | groups | smallest difference | shown | 95 % interval covers |\n|---|---:|---:|---:|---:|", True
    for case in EFFECTS:
        if only in case.name:
            better = smallest(case, 100, seed)
            shown, covered = power(case, better, few, seed)
            yield f"| {case.name} | {case.groups} | {better:.2f} | {share(shown, few)} | {share(covered, few)} |", True
    yield f"\nBradley–Terry strengths, {few} runs a row:\n", True
    yield "| strengths | groups | clips a group | 95 % interval covers |\n|---|---:|---:|---:|", True
    for quality, groups, clips, own in STRENGTHS:
        if only in "strengths":
            covered = strengths(quality, groups, clips, own, few, seed)
            text = ", ".join(f"{one:g}" for one in quality).replace("-", "−")
            yield f"| {text} | {groups} | {clips} | {share(covered, few)} |", True
    yield f"\nOutside the assumption, {few} runs a row:\n\n| case | called different |\n|---|---:|", True
    for groups in (8, 20, 50):
        if only in "unequal":
            yield f"| unequal shapes, {groups} groups | {share(unequal(groups, few, seed), few)} |", True


STRENGTHS = (
    *(((0.5, 0.0, -0.5), groups, 1, 0.0) for groups in (5, 8, 20)),
    *(((0.5, 0.0, -0.5), groups, 4, 1.0) for groups in (5, 8, 20)),
    ((1.0, 0.3, -0.2, -0.4, -0.7), 8, 1, 0.0),
    ((1.5, -1.5), 20, 1, 0.0),
)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="words of a case's name")
    options = parser.parse_args(arguments)
    right = True
    for line, fits in tables(options.runs, options.seed, options.only):
        print(line, flush=True)
        right &= fits
    print(f"\nfalse alarms above {100 * ALLOWED:g} %: {'none' if right else 'see above'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
