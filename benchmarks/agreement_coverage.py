"""How often the 95 % interval of `avreward.studies._agreement` holds the truth, beside two simpler ones.

    python benchmarks/agreement_coverage.py [--runs 2000] [--seed 0]

Videos and people are drawn anew in every run: a person agrees with the pick on a video with probability
Φ(m + video + person), where the two are normal. The truth is the mean over all videos and people that could have been
drawn. *Answers*: a Wilson interval that takes every answer for independent. *Videos*: a bootstrap over videos alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import norm

from avreward.evaluation import wilson
from avreward.studies import clustered


@dataclass(frozen=True)
class Case:
    """One kind of experiment: `video` and `person` are standard deviations in units of the answers' own noise."""

    name: str
    videos: int
    people: int
    truth: float
    video: float
    person: float
    answered: float = 1.0


CASES = (
    Case("the paper's size", 230, 10, 0.80, 0.8, 0.3),
    Case("no effect of video or person", 230, 10, 0.80, 0.0, 0.0),
    Case("videos differ much", 230, 10, 0.80, 2.0, 0.2),
    Case("people differ much", 230, 10, 0.80, 0.5, 0.8),
    Case("one category (20 videos)", 20, 10, 0.80, 0.8, 0.3),
    Case("the smallest category (11)", 11, 10, 0.80, 0.8, 0.3),
    Case("coin flips", 60, 10, 0.50, 0.0, 0.0),
    Case("nearly always", 100, 10, 0.95, 0.6, 0.3),
    Case("six people", 100, 6, 0.80, 0.8, 0.3),
    Case("people stop early", 100, 12, 0.80, 0.8, 0.3, answered=0.4),
)


def draw(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers, videos, people of one run; with ``answered < 1`` each person answers a random number of videos."""
    spread = sqrt(1 + case.video**2 + case.person**2)
    mean = norm.ppf(case.truth) * spread  # so that the mean over videos and people is the truth
    videos = rng.normal(0, 1, case.videos) * case.video
    people = rng.normal(0, 1, case.people) * case.person
    agrees = rng.random((case.videos, case.people)) < norm.cdf(mean + videos[:, None] + people)
    there = np.ones_like(agrees)
    if case.answered < 1:
        until = rng.uniform(0.1, 2 * case.answered - 0.1, case.people)
        there = rng.random(agrees.shape) < until
    video, person = np.nonzero(there)
    return agrees[there], video, person


def over_videos(
    agrees: np.ndarray, video: np.ndarray, rng: np.random.Generator, draws: int = 200
) -> tuple[float, float]:
    """Return the percentile bootstrap over videos."""
    sums, counts = np.bincount(video, agrees), np.bincount(video)
    picked = rng.integers(0, len(sums), (draws, len(sums)))
    shares = sums[picked].sum(1) / counts[picked].sum(1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


def coverage(case: Case, runs: int, seed: int) -> dict[str, tuple[int, float]]:
    """Return method → in how many runs the interval held the truth, and its mean width."""
    rng = np.random.default_rng(seed)
    held: dict[str, list[bool]] = {"ours": [], "answers": [], "videos": []}
    width: dict[str, list[float]] = {name: [] for name in held}
    for _ in range(runs):
        agrees, video, person = draw(case, rng)
        intervals = {
            "ours": clustered(agrees.tolist(), video.tolist(), person.tolist())[:2],
            "answers": wilson(int(agrees.sum()), len(agrees)),
            "videos": over_videos(agrees, video, rng),
        }
        for name, (low, high) in intervals.items():
            held[name].append(low <= case.truth <= high)
            width[name].append(high - low)
    return {name: (sum(held[name]), float(np.mean(width[name]))) for name in held}


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print("| case | videos × people | truth | holds the truth (interval) | width | answers | videos |")
    print("|---|---|---:|---|---:|---:|---:|")
    for case in CASES:
        found = coverage(case, options.runs, options.seed)
        held, width = found["ours"]
        low, high = wilson(held, options.runs)
        others = " | ".join(f"{found[name][0] / options.runs:.1%}" for name in ("answers", "videos"))
        size = f"{case.videos} × {case.people}" + (f", {case.answered:.0%} answered" if case.answered < 1 else "")
        shown = f"{held / options.runs:.1%} ({low:.1%}–{high:.1%})"
        print(f"| {case.name} | {size} | {case.truth:.0%} | {shown} | {width:.3f} | {others} |", flush=True)


if __name__ == "__main__":
    main()
