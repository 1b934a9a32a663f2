"""How often the reward monitor stops runs that agree, and how soon it stops runs that part.

    python benchmarks/monitor.py --runs 100

Synthetic runs of 300 steps, seeds 0, 1, …: means of a trained and of a held-out reward with noise that they share and
noise of their own (standard deviation 0.3 each, the held-out reward has half of the shared part). Where a run parts, it
does so at step 150. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from avreward.evaluation import wilson
from avreward.training import RewardMonitor

STEPS, TURN = 300, 150
Course = NDArray[np.float64]
Pair = tuple[Course, Course]
TIME = np.arange(STEPS, dtype=np.float64)


def noise(dice: np.random.Generator) -> Pair:
    """Nothing but noise, shared and own."""
    shared = dice.normal(0, 0.3, STEPS)
    return shared + dice.normal(0, 0.3, STEPS), 0.5 * shared + dice.normal(0, 0.3, STEPS)


def moved(first: Course, second: Course) -> Callable[[np.random.Generator], Pair]:
    """Return a course for each, under noise."""

    def make(dice: np.random.Generator) -> Pair:
        one, other = noise(dice)
        return first + one, second + other

    return make


def wandering(dice: np.random.Generator) -> Pair:
    """Both wander (autoregressive, 0.9), half of it together."""
    walks = np.zeros((3, STEPS))
    for t in range(1, STEPS):
        walks[:, t] = 0.9 * walks[:, t - 1] + dice.normal(0, 1, 3)
    return walks[0] + 0.5 * walks[1], walks[0] + 0.5 * walks[2]


def after(slope: float) -> Course:
    """Rises by 1 until the turn, then falls by `slope` a step."""
    return np.where(TIME < TURN, TIME / TURN, 1 - slope * (TIME - TURN))


AGREE = {
    "both rise": moved(TIME / 150, 0.7 * TIME / 150),
    "both level off": moved(2 - 2 * np.exp(-TIME / 50), 1 - np.exp(-TIME / 50)),
    "the held-out one levels off": moved(TIME / 100, np.minimum(TIME, TURN) / TURN),
    "noise alone": noise,
    "both wander, half of it together": wandering,
}
PART = {
    "the held-out one falls by 0.02 a step": moved(TIME / 100, after(0.02)),
    "… by 0.01": moved(TIME / 100, after(0.01)),
    "… by 0.005": moved(TIME / 100, after(0.005)),
}


def stopped(make: Callable[[np.random.Generator], Pair], seed: int, window: int) -> int | None:
    """Return the step at which the monitor stops a run."""
    monitor = RewardMonitor(window=window)
    for step, (mine, theirs) in enumerate(zip(*make(np.random.default_rng(seed)), strict=True)):
        if monitor.update([mine], [theirs]).diverged:
            return step
    return None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--window", type=int, default=50)
    arguments = parser.parse_args()
    print(
        f"| {arguments.runs} runs, window {arguments.window} | stopped | steps after the turn (median) |\n|---|---|---|"
    )
    console = Console(file=sys.stderr)
    for name, make in (AGREE | PART).items():
        runs = track(range(arguments.runs), name, console=console, transient=True)
        steps = [step for seed in runs if (step := stopped(make, seed, arguments.window)) is not None]
        low, high = wilson(len(steps), arguments.runs)
        later = [step - TURN for step in steps if step >= TURN]
        soon = f"{statistics.median(later):.0f}" if later and name in PART else ""
        early = f", {len(steps) - len(later)} of them before it" if name in PART and len(later) < len(steps) else ""
        print(f"| {name} | {len(steps) / arguments.runs:.2f} ({low:.2f}–{high:.2f}){early} | {soon} |", flush=True)


if __name__ == "__main__":
    main()
