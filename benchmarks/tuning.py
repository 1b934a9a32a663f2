"""What each tuning loop gains, for how many samples, denoising steps and seconds: on trained tiny generators.

    python benchmarks/tuning.py --out runs.jsonl                    # trains what is not in the file yet; tables
    python benchmarks/tuning.py --out part.jsonl --loops RAFT AWM   # a share of the work, and its tables

Files of shares are joined by writing one after the other.

The task: dubs of silent videos by `recipes/tiny_v2a`. Each loop gets the same search over learning rates, with a seed
of its own, and with the best one three seeds, each beside a control with shuffled rewards. Scores are of clips whose
conditions and noise no update saw; see `recipes/tuned_tasks.py`. Loops that need scores alone get 768 samples, reward
backpropagation 96.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from denormals import flushed_denormals
from json_lines import append_line, read_lines
from tuned import HELD_OUT, Plan, Task, gains, interval, tune
from tuned_tasks import dubbing

from avreward import Reward
from avreward.generators import Condition, Noise, sample_flow
from avreward.training import (
    ClipPair,
    DiffusionNft,
    Draft,
    FlowGrpo,
    OfflineDpo,
    OnlineDpo,
    Raft,
    TuningStep,
    best_and_worst,
)
from avreward.training.generator.lora import without_lora

RATES, SEARCH_SEED, SEEDS = (3e-4, 1e-3, 3e-3, 1e-2), 100, (0, 1, 2)
GROUP = {"updates": 48, "batch": 2, "group": 8}
ALONE = {"updates": 24, "batch": 4, "group": 1}
STEPS = Task.steps
GAIN = 0.03  # of the trained reward, at which samples are compared
COSTS = ("samples", "steps", "calls", "seconds")


class FrozenPairs:
    """`OfflineDpo` on pairs of clips that the frozen generator makes: the best and the worst of each group."""

    def __init__(self, generator: Any, reward: Reward, *, steps: int, **settings: Any) -> None:
        self.generator, self.reward, self.steps = generator, reward, steps
        self.loop = OfflineDpo(generator, **settings)

    def update(self, conditions: Sequence[Condition], noises: Sequence[Sequence[Noise]]) -> TuningStep:
        """Make the pairs and train on them."""
        pairs = []
        for condition, group in zip(conditions, noises, strict=True):
            with torch.no_grad(), without_lora(self.generator.network):
                encoded = self.generator.encode(condition)
                latents = sample_flow(self.generator, encoded, group, self.generator.sigmas(self.steps, encoded))
                clips = self.generator.decode(latents, encoded)
                values = self.reward.evaluate(clips).values
            pairs += [ClipPair(condition, clips[a], clips[b]) for a, b in best_and_worst(values, [0] * len(group))]
        clips = sum(map(len, noises))
        return replace(self.loop.update(pairs), clips=clips, denoising_steps=clips * self.steps)


Make = Callable[..., Any]
LOOPS: dict[str, tuple[Make, dict[str, Any], dict[str, int]]] = {
    "DRaFT-3": (Draft, {"truncation": 3, "kl_weight": 0.0}, ALONE),
    "AlignProp": (Draft, {"truncation": "random", "kl_weight": 0.0}, ALONE),
    "ReFL": (Draft, {"truncation": "refl", "kl_weight": 0.0}, ALONE),
    "Flow-GRPO": (FlowGrpo, {"kl_weight": 0.0, "clip_range": 1e-3}, GROUP),
    "MixGRPO": (FlowGrpo, {"kl_weight": 0.0, "clip_range": 1e-3, "window": 3, "window_updates": 10}, GROUP),
    "DDPO": (FlowGrpo, {"kl_weight": 0.0, "clip_range": 1e-3, "step": "ddim", "noise_level": 1.0}, GROUP),
    "DiffusionNFT": (DiffusionNft, {"decay": 0.0}, GROUP),  # a moving average lags in 48 updates
    "AWM": (DiffusionNft, {"loss": "awm"}, GROUP),
    "online DPO": (OnlineDpo, {}, GROUP),
    "offline DPO": (FrozenPairs, {}, GROUP),
    "RAFT": (Raft, {}, GROUP),
    "reward-weighted": (Raft, {"weights": "exponential"}, GROUP),
}
LOOKS = dict.fromkeys(("DRaFT-3", "AlignProp", "ReFL", "Flow-GRPO", "DiffusionNFT", "AWM"), 12)  # curves that are read

TASKS: dict[str, Callable[[], Task]] = {"dubs": dubbing}


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        loop: of `LOOPS`.
        task: of `TASKS`.
        rate: learning rate.
        seed: of all that is drawn.
        control: whether the rewards are shuffled.
    """

    loop: str
    task: str
    rate: float
    seed: int
    control: bool = False

    @flushed_denormals()
    def curve(self) -> list[dict[str, float]]:
        """Train."""
        make, settings, size = LOOPS[self.loop]
        options = settings | {"checkpointing": False}  # which a small network does not need

        def loop(generator: Any, reward: Reward, seed: int) -> Any:
            return make(generator, reward, steps=STEPS, learning_rate=self.rate, seed=seed, **options)

        looks = 1 if self.seed == SEARCH_SEED or self.control else LOOKS.get(self.loop, 1)
        return tune(TASKS[self.task](), Plan(loop, **size), self.seed, self.control, looks)


class Runs:
    """The runs in a file, one JSON line each; a line that was cut off is run again."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, dict[Run, list[dict[str, float]]]()
        for row in read_lines(path):
            self.found[Run(**row["run"])] = row["curve"]

    def __call__(self, run: Run) -> list[dict[str, float]]:
        """Return the curve of a run; train where the file lacks it."""
        if run not in self.found:
            self.found[run] = run.curve()
            append_line(self.path, {"run": vars(run), "curve": self.found[run]})
            found = gains(self.found[run])
            print(run, {name: round(value, 3) for name, value in found.items()}, flush=True)
        return self.found[run]

    def best_rate(self, loop: str) -> float:
        """Return the learning rate with the largest gain of the trained reward, by runs with a seed of their own."""
        return max(RATES, key=lambda rate: gains(self(Run(loop, "dubs", rate, SEARCH_SEED)))["reward"])


def table_of(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def of_seeds(runs: Runs, loop: str, task: str, rate: float, name: str, control: bool = False) -> list[float]:
    """Return the gains of a score, a seed each."""
    return [gains(runs(Run(loop, task, rate, seed, control)))[name] for seed in SEEDS]


def loops_table(runs: Runs, loops: Sequence[str]) -> str:
    """Return cost and gain of each loop."""
    rows = [["loop", "learning rate", "samples", "denoising steps", "network calls", "CPU seconds", "reward", "control",
             "held out", "control"]]  # fmt: skip
    for loop in loops:
        rate = runs.best_rate(loop)
        ends = [runs(Run(loop, "dubs", rate, seed))[-1] for seed in SEEDS]
        costs = [f"{fmean(end[cost] for end in ends):.0f}" for cost in COSTS]
        found = [interval(of_seeds(runs, loop, "dubs", rate, name, control))
                 for name in ("reward", HELD_OUT + "match") for control in (False, True)]  # fmt: skip
        rows.append([loop, f"{rate:g}", *costs, *found])
    return table_of(rows)


def spent_until(curve: Sequence[dict[str, float]], gain: float, cost: str) -> float:
    """Return what was spent until the reward had gained so much, between two looks by a straight line."""
    for before, after in pairwise(curve):
        low, high = before["reward"] - curve[0]["reward"], after["reward"] - curve[0]["reward"]
        if high >= gain > low:
            return before[cost] + (gain - low) / (high - low) * (after[cost] - before[cost])
    return float("inf")


def gain_at(curve: Sequence[dict[str, float]], spent: float, cost: str) -> float:
    """Return what the reward had gained when so much was spent."""
    for before, after in pairwise(curve):
        if before[cost] <= spent <= after[cost]:
            share = (spent - before[cost]) / (after[cost] - before[cost])
            return (1 - share) * before["reward"] + share * after["reward"] - curve[0]["reward"]
    return curve[-1]["reward"] - curve[0]["reward"]


def ratio_table(runs: Runs) -> str:
    """Return how much more Flow-GRPO needs than each backpropagation for a gain of `GAIN`."""
    rows = [["loop", "seed", "Flow-GRPO: samples", "samples", "ratio of samples", "of network calls"]]
    rate = runs.best_rate("Flow-GRPO")
    for loop in (name for name, (make, _, _) in LOOPS.items() if make is Draft):
        for seed in SEEDS:
            slow = runs(Run("Flow-GRPO", "dubs", rate, seed))
            fast = runs(Run(loop, "dubs", runs.best_rate(loop), seed))
            reached = spent_until(slow, GAIN, "samples") < float("inf")
            more = "" if reached else "> "  # than all that was spent
            spent = []
            for cost in ("samples", "calls"):
                whole = spent_until(slow, GAIN, cost) if reached else slow[-1][cost]
                spent.append((whole, spent_until(fast, GAIN, cost)))
            numbers = [f"{more}{spent[0][0]:.0f}", f"{spent[0][1]:.0f}", *(f"{more}{a / b:.1f}" for a, b in spent)]
            rows.append([loop, str(seed), *numbers])
    return table_of(rows)


def equal_cost_table(runs: Runs) -> str:
    """Return what Flow-GRPO, DiffusionNFT and AWM gain for equal cost."""
    names = ("Flow-GRPO", "DiffusionNFT", "AWM")
    rows = [["equal", *names]]
    curves = {n: [runs(Run(n, "dubs", runs.best_rate(n), seed)) for seed in SEEDS] for n in names}
    for cost in ("samples", "calls", "seconds"):
        found = []
        for name in names:
            least = [min(curves[other][i][-1][cost] for other in names) for i in range(len(SEEDS))]
            found.append(interval([gain_at(c, s, cost) for c, s in zip(curves[name], least, strict=True)]))
        rows.append([cost, *found])
    return table_of(rows)


def planned(runs: Runs, loops: Sequence[str]) -> Iterator[Run]:
    """Yield all runs; the search comes first."""
    for loop in loops:
        for rate in RATES:
            yield Run(loop, "dubs", rate, SEARCH_SEED)
    for control in (False, True):
        for seed in SEEDS:
            for loop in loops:
                yield Run(loop, "dubs", runs.best_rate(loop), seed, control)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tuning.jsonl"), help="where runs are kept, and go on")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, help="by default all")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    runs = Runs(options.out)
    loops = options.loops or list(LOOPS)
    for run in planned(runs, loops):
        runs(run)
    print(f"\neach loop\n\n{loops_table(runs, loops)}")
    if {"DRaFT-3", "Flow-GRPO"} <= set(loops):
        print(f"\nfor a gain of {GAIN:g}\n\n{ratio_table(runs)}")
    if {"Flow-GRPO", "DiffusionNFT", "AWM"} <= set(loops):
        print(f"\ngain for equal cost\n\n{equal_cost_table(runs)}")


if __name__ == "__main__":
    main()
