"""What a reward's algebra costs beside its raters.

    python benchmarks/algebra_overhead.py [--clips 1 8 64] [--runs 50]

Three raters that multiply matrices judge clips of tensors, and measure how long they are at it. What a call of
`reward.evaluate` takes besides is the algebra: batches, collecting scores, presence, the values, reasons. Printed are
medians of calls, for a weighted sum of 8 terms and for 8 terms through every operation; with the backward pass from the
reward to the scores; and with raters that know how uncertain they are (the delta method computes once more, and
backward). Each rater must have judged each clip once in every call: their counters are compared, and another number is
an error.

`--products` sets how long the raters take: the algebra's cost hardly depends on it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from avreward import Clip, Dimension, Reward, Scores, parse_reward
from avreward.raters import Rater, Sample, Track, Work
from avreward.rewards import above, clamp, minimum, softmin

SIZE = 256  # of the matrices
NAMES = ("first", "second", "third")


class Busy(Rater):
    """Multiplies matrices, then reads its scores off the picture; counts its passes."""

    tracks = ("video",)
    dimensions = tuple(Dimension(name, 0, 1, frozenset({"video"})) for name in ("red", "green", "blue"))

    def __init__(self, name: str, products: int, uncertain: bool = False, leaves: bool = False) -> None:
        self.name = self.fingerprint = name
        self.products, self.uncertain, self.leaves = products, uncertain, leaves
        self.judged, self.spent = 0, 0.0
        self.matrix = torch.linspace(-1, 1, SIZE * SIZE).reshape(SIZE, SIZE) / SIZE

    def load_track(self, clamp: Clip, track: Track) -> Any:
        """Return the picture."""
        return clamp.video

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """As every rater, with a clock."""
        with self.clock():
            return super().load(clip, work)

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the mean of each colour."""
        self.judged += len(samples)
        with self.clock():
            for _ in range(self.products):
                self.matrix @ self.matrix
            values = torch.stack([sample.tracks["video"].mean((0, 2, 3)) for sample in samples])
            values.requires_grad_(self.leaves)
            scores = Scores(values, torch.ones_like(values).bool(), [{} for _ in samples], self.dimensions)
            if self.uncertain:
                scores.sigma = torch.full_like(values, 0.1)
            return scores

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Add what the body takes to `spent`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent += time.perf_counter() - started


def of_everything(raters: Sequence[Rater]) -> Reward:
    """8 terms over 3 raters, through every kind of node."""
    a, b, c = raters
    return (
        0.4 * a["red"] * b["red"]
        + minimum(a["green"], b["green"], 0.9)
        + softmin(a["blue"], c["red"], temperature=0.1)
        - 2 * clamp(c["green"], 0, 0.8)
        + 10 * above(c["blue"] - 0.5 * a["red"], 0.2)
    )


def of_sums(raters: Sequence[Rater]) -> Reward:
    """8 terms over 3 raters, weighed and added."""
    terms = [rater[name] for rater in raters for name in ("red", "green", "blue")][:8]
    return sum((0.1 * i * term for i, term in enumerate(terms, 1)), start=0.5 * terms[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--products", type=int, default=4, help="matrix products in each forward")
    arguments = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, {platform.machine()}\n"
    )
    print("| 8 terms over 3 raters | clips | raters (ms a call) | algebra (ms a call) | clips judged by each rater |")
    print("|:---|---:|---:|---:|---:|")
    for count in arguments.clips:
        for label, build, options in (
            ("weighted sum", of_sums, {}),
            ("every operation", of_everything, {}),
            ("every operation, and backward", of_everything, {"leaves": True}),
            ("every operation, with sigma", of_everything, {"uncertain": True}),
        ):
            raters = [Busy(name, arguments.products, **options) for name in NAMES]
            forwards, algebra = measure(build(raters), raters, count, arguments.runs)
            print(f"| {label} | {count} | {forwards:.2f} | {algebra:.2f} | {count} a call |")
    raters = [Busy(name, 0) for name in NAMES]
    text = repr(of_everything(raters))
    reading = statistics.median(
        timed(lambda: parse_reward(text, {rater.name: rater for rater in raters})) for _ in range(arguments.runs)
    )
    print(f"\nEvery operation: {text}\nis read in {reading:.2f} ms.")


def measure(reward: Reward, raters: Sequence[Busy], count: int, runs: int) -> tuple[float, float]:
    """Milliseconds a call: of the raters, and beside them."""
    assert len(reward.terms) == 8
    assert list(reward.raters) == list(raters)
    generator = torch.Generator().manual_seed(0)
    clips = [Clip(video=torch.rand(2, 3, 16, 16, generator=generator), fps=8.0) for _ in range(count)]

    def call() -> None:
        values = reward.evaluate(clips).values
        if values.requires_grad:
            values.sum().backward()

    forwards, algebra = [], []
    for run in range(runs + 5):
        before = [(rater.judged, rater.spent) for rater in raters]
        whole = timed(call)
        judged = [rater.judged - b for rater, (b, _) in zip(raters, before, strict=True)]
        if judged != [count] * len(raters):
            raise SystemExit(f"{reward}: the raters judged {judged} clips in a call with {count}")
        spent = 1000 * sum(rater.spent - b for rater, (_, b) in zip(raters, before, strict=True))
        if run >= 5:  # the first calls warm up
            forwards.append(spent)
            algebra.append(whole - spent)
    return statistics.median(forwards), statistics.median(algebra)


def timed(what: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    what()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
