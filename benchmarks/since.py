"""Raters of this checkout beside those of an earlier commit, in turn, so that other programs disturb both alike.

    git worktree add /tmp/before COMMIT
    python benchmarks/since.py /tmp/before [--rounds 5] [--dubs 1 8] [--sound-tokens 250 750 1496]

A random AGAV-Rater of 145 million weights with the published token counts (1352 for the picture) judges one clip, or
several dubs of one video in one call. Each checkout runs in a process of its own with its own `benchmarks/medium_agav`;
in each round both rate the same clips, one after the other, and the next round begins with the other one. The table
shows least, median and greatest CPU time, and the ratio of the medians. The largest relative difference of the scores
must stay below 1e-5.

Other programs may change the speed of a core from one second to the next: a round's ratio is of two runs side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

AIM = {1: 0.91, 8: 0.86}  # of the CPU time before
SAME = 1e-5  # relative, of scores


class Checkout:
    """A process that rates with the code in `folder`."""

    def __init__(self, folder: Path) -> None:
        paths = os.pathsep.join(str(folder / part) for part in ("src", "recipes", "benchmarks"))
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--serve"]
        self.process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def rate(self, dubs: int, tokens: int) -> tuple[float, list[float]]:
        """Return CPU seconds and scores."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([dubs, tokens]), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer["seconds"], answer["scores"]


def serve() -> None:
    """Rate what is asked for on standard input, a line each, with the code on the path."""
    import torch
    from medium_agav import dubs, medium_rater

    from avreward.raters import Work

    rater = medium_rater()
    for line in sys.stdin:
        count, tokens = json.loads(line)
        samples = dubs(count, tokens)
        with torch.no_grad():
            started = time.process_time()
            values = rater.rate(samples, Work()).values
        seconds = time.process_time() - started
        print(json.dumps({"seconds": seconds, "scores": values.flatten().tolist()}), flush=True)


def compared(
    before: Checkout, now: Checkout, dubs: int, tokens: int, rounds: int
) -> tuple[list[float], list[float], float]:
    """Return the times before, those now, and the largest relative difference of a score."""
    times: dict[Checkout, list[float]] = {before: [], now: []}
    apart = 0.0
    for number in range(rounds):
        scores = {}
        for checkout in (before, now) if number % 2 else (now, before):
            seconds, scores[checkout] = checkout.rate(dubs, tokens)
            times[checkout].append(seconds)
        pairs = zip(scores[before], scores[now], strict=True)
        apart = max(apart, *(abs(new - old) / abs(old) for old, new in pairs))
    return times[before], times[now], apart


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, nargs="?", help="folder of the earlier commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dubs", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--sound-tokens", type=int, nargs="+", default=[250, 750, 1496])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    if arguments.before is None:
        parser.error("before: expected the folder of an earlier commit; make one with git worktree add FOLDER COMMIT")
    before, now = Checkout(arguments.before), Checkout(Path(__file__).resolve().parents[1])
    for checkout in (before, now):
        checkout.rate(1, arguments.sound_tokens[0])  # the first call of a process is slower
    print("| dubs | sound tokens | before, s | now, s | ratio | aim | per round | scores apart |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    missed = []
    for dubs in arguments.dubs:
        for tokens in arguments.sound_tokens:
            old, new, apart = compared(before, now, dubs, tokens, arguments.rounds)
            ratio, aim = median(new) / median(old), AIM.get(dubs)
            each = [n / o for n, o in zip(new, old, strict=True)]
            cells = [spread(old), spread(new), f"{ratio:.2f}", "" if aim is None else f"{aim:.2f}", spread(each)]
            print(f"| {dubs} | {tokens} | {' | '.join(cells)} | {apart:.0e} |", flush=True)
            if (aim is not None and ratio > aim) or apart > SAME:
                missed.append(f"{dubs} dubs, {tokens} tokens")
    print(f"\nWithin the aims, with the same scores: {'no, ' + '; '.join(missed) if missed else 'yes'}")


def spread(values: list[float]) -> str:
    """Return least, median and greatest.

    >>> spread([3.0, 1.0, 2.0])
    '1.00 / 2.00 / 3.00'
    """
    return " / ".join(f"{value:.2f}" for value in (min(values), median(values), max(values)))


if __name__ == "__main__":
    main()
