"""Measure how well mean opinion scores recover known qualities: error, coverage of the intervals, and alpha.

``python benchmarks/subjective.py`` prints two tables in Markdown. People are simulated: the rating of a clip is its
quality plus the person's bias plus noise of the person's own size, on a scale of 1 to 5 in tenths or whole steps. The
error of a method is the root mean square distance from the qualities, after the best line through them, since
neither the common bias nor the scale of z-scores is about quality; the intervals are moved by the same line. Alpha is
shown beside the share of the ratings' variance that the qualities have before ratings are rounded and clipped.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avreward.datasets import Ratings, krippendorff_alpha, mean_opinion_scores, split_half_srcc

METHODS = (
    ("mean", None),
    ("mean", "bt500"),
    ("z_score", None),
    ("z_score", "bt500"),
    ("bias_removed", None),
    ("bias_removed", "correlation"),
    ("p910", None),
)


@dataclass(frozen=True)
class Case:
    """Who rates what.

    Attributes:
        name: of the case.
        clips: how many.
        people: how many.
        spread: standard deviation of the biases.
        noise: the standard deviations of people's noise are drawn from this range.
        answered: share of clips that a person rates.
        lost: people who answer at random.
        step: of the scale.
    """

    name: str
    clips: int = 100
    people: int = 15
    spread: float = 0.5
    noise: tuple[float, float] = (0.6, 0.6)
    answered: float = 1.0
    lost: int = 0
    step: float = 0.1


CASES = (
    Case("alike people", spread=0.0),
    Case("biases"),
    Case("biases, unequal noise", noise=(0.3, 1.5)),
    Case("the same, whole steps", noise=(0.3, 1.5), step=1.0),
    Case("the same, 2 of 15 at random", noise=(0.3, 1.5), lost=2),
    Case("a third answered", noise=(0.3, 1.5), answered=1 / 3),
    Case("40 people, a third answered", people=40, noise=(0.3, 1.5), answered=1 / 3),
    Case("5 people", people=5, noise=(0.3, 1.5)),
)


def simulated(case: Case, seed: int) -> tuple[NDArray[np.float64], Ratings]:
    """Return the qualities (clips,) and ratings of them."""
    draw = np.random.default_rng(seed)
    truth = draw.uniform(1.5, 4.5, case.clips)
    bias, noise = draw.normal(0, case.spread, case.people), draw.uniform(*case.noise, case.people)
    table = truth[:, None] + bias + draw.normal(0, 1, (case.clips, case.people)) * noise
    table[:, : case.lost] = draw.uniform(1, 5, (case.clips, case.lost))
    table = np.clip(np.round(table / case.step) * case.step, 1, 5)
    missing = draw.random(table.shape) >= case.answered
    missing[np.arange(case.clips), draw.integers(0, case.people, case.clips)] = False  # each clip has one at least
    return truth, Ratings.from_array(np.where(missing, np.nan, table), low=1, high=5)


def errors(case: Case, runs: int) -> dict[tuple[str, str | None], tuple[float, float, float]]:
    """Return the error, the coverage of 95 % intervals and the share of runs with a warning, of each method."""
    found: dict[tuple[str, str | None], list[tuple[float, float, float]]] = {method: [] for method in METHODS}
    for seed in range(runs):
        truth, ratings = simulated(case, seed)
        for method, reject in METHODS:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                scores = mean_opinion_scores(ratings, method, reject=reject)  # type: ignore[arg-type]
            scored = np.isfinite(scores.mos)  # not clips that only rejected people rated
            slope, shift = np.polyfit(scores.mos[scored], truth[scored], 1)
            away = slope * scores.mos + shift - truth
            known = np.isfinite(scores.low)
            inside = np.abs(away) <= slope * (scores.high - scores.low) / 2
            row = float(np.sqrt((away[scored] ** 2).mean())), float(inside[known].mean()), float(bool(told))
            found[method, reject].append(row)
    return {method: tuple(np.mean(rows, axis=0).tolist()) for method, rows in found.items()}


def agreement(case: Case, runs: int) -> tuple[float, float, float]:
    """Return the mean alpha, the share of variance that the qualities have, and the rank correlation of halves."""
    rows = []
    for seed in range(runs):
        _, ratings = simulated(case, seed)
        rows.append((krippendorff_alpha(ratings), split_half_srcc(ratings, seed=seed).mean))
    alpha, halves = np.mean(rows, axis=0).tolist()
    low, high = case.noise
    quality, noise = 3**2 / 12, (low**2 + low * high + high**2) / 3  # of uniform numbers: variance, mean square
    return alpha, quality / (quality + case.spread**2 + noise), halves


def main(runs: int = 200) -> None:
    """Print the tables."""
    names = [f"{method}, {reject}" if reject else method for method, reject in METHODS]
    print(f"| people | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    found = {case.name: errors(case, runs) for case in CASES}
    for name, rows in found.items():
        print(f"| {name} | {' | '.join(f'{error:.3f} ({inside:.0%})' for error, inside, _ in rows.values())} |")
    print("\n| people | p910 warned | alpha | share of the qualities | halves |\n|---|---:|---:|---:|---:|")
    for case in CASES:
        alpha, share, halves = agreement(case, runs)
        stated = "" if case.lost else f"{share:.3f}"
        warned = found[case.name]["p910", None][2]
        print(f"| {case.name} | {warned:.0%} | {alpha:.3f} | {stated} | {halves:.3f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="simulations a case")
    main(parser.parse_args().runs)
