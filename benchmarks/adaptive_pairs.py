"""How many votes fix an order: adaptive pairing, as `avreward study` asks, against random pairs.

    python benchmarks/adaptive_pairs.py --runs 100

In each run 16 items have known strengths. Votes are drawn from the Bradley–Terry model, one by one, until the stopping
rule holds: every two neighbours are known (95 %) to differ, or to be alike. Random pairing stops by the same rule,
checked after every 5 % more votes. *covers*: intervals that hold the true strength, at the stop.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from scipy.stats import kendalltau

from avreward.studies import KnownOrder, known_order

ITEMS = 16
MOST = 6000  # votes


def strengths(kind: str, generator: np.random.Generator) -> np.ndarray:
    """Return true strengths (items,) in random order."""
    if kind.startswith("drawn"):
        return generator.normal(0, float(kind.split()[-1]), ITEMS)
    return generator.permutation(np.arange(ITEMS) * float(kind.split()[-1]))


def votes_needed(truth: np.ndarray, generator: np.random.Generator, adaptive: bool) -> tuple[KnownOrder, int]:
    """Ask until the order is known, or `MOST` votes are given; return what is known, and how many votes there are."""
    items = range(len(truth))
    first: list[int] = []
    second: list[int] = []
    outcome: list[float] = []
    found = known_order(items)
    check = 1
    while len(first) < MOST and found.share < 1:
        if adaptive:
            worth = found.worth_asking()
            one, other = max(worth, key=worth.__getitem__)
        else:
            one, other = generator.choice(len(truth), 2, replace=False)
        won = generator.random() < 1 / (1 + np.exp(truth[other] - truth[one]))
        first.append(int(one))
        second.append(int(other))
        outcome.append(float(won))
        if len(first) >= check or len(first) == MOST:
            found = known_order(items, first, second, outcome)
            check = len(first) + 1 if adaptive else int(len(first) * 1.05) + 1
    return found, len(first)


def covers(found: KnownOrder, truth: np.ndarray) -> float:
    """Return the share of intervals that hold the truth."""
    low, high = found.interval()
    centred = truth - truth.mean()
    return float(((low <= centred) & (centred <= high)).mean())


def table(runs: int, kinds: Sequence[str]) -> str:
    """Return the table."""
    lines = ["| strengths | pairing | votes | of random | covers | Kendall's τ |", "|---|---|---:|---:|---:|---:|"]
    for kind in kinds:
        votes = {}
        for pairing in ("random", "adaptive"):
            told = []
            for seed in range(runs):
                generator = np.random.default_rng(seed)
                truth = strengths(kind, generator)
                found, count = votes_needed(truth, generator, pairing == "adaptive")
                told.append((count, covers(found, truth), kendalltau(found.values, truth)[0]))
            needed, held, tau = np.array(told).T
            votes[pairing] = np.median(needed)
            more = ">" if np.median(needed) >= MOST else ""
            share = "" if pairing == "random" else f"{votes['adaptive'] / votes['random']:.0%}"
            spread = 1.96 * held.std() / np.sqrt(runs)
            cover = f"{held.mean():.1%} ± {spread:.1%}"
            lines.append(
                f"| {kind} | {pairing} | {more}{np.median(needed):.0f} | {share} | {cover} | {tau.mean():.3f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", default=["gaps of 1", "gaps of 0.6", "drawn, σ = 1.5"])
    arguments = parser.parse_args()
    print(table(arguments.runs, arguments.kinds))


if __name__ == "__main__":
    main()
