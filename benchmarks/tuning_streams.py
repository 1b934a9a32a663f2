"""One advantage for each stream of a joint generator against their sum, where the streams' rewards are at odds.

    python benchmarks/tuning_streams.py --out runs.jsonl

A calm video with loud audio from `recipes/tiny_joint`, whose fast balls are loud. Routed: the video follows the term of
the video, the audio that of the audio. Summed: both terms may move both streams, which then follow one advantage.
Learning rates are those of the search of `benchmarks/tuning.py`, whose file of runs this command goes on with.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from tuned import HELD_OUT
from tuned_joint import bouncing, calm, level, loud, still
from tuning import SEEDS, TASKS, Run, Runs, interval, of_seeds, table_of

from avreward import Clip, Reward, term

LOOPS = ("Flow-GRPO", "DiffusionNFT")


@term(needs=("video", "audio"))
def calm_for_both(clip: Clip) -> torch.Tensor:
    """As `calm`, but both streams follow it."""
    return still(clip)


@term(needs=("video", "audio"))
def loud_for_both(clip: Clip) -> torch.Tensor:
    """As `loud`, but both streams follow it."""
    return level(clip)


REWARDS: dict[str, Callable[[], Reward]] = {
    "routed": lambda: calm["calm"] + loud["loud"],
    "summed": lambda: calm_for_both["calm_for_both"] + loud_for_both["loud_for_both"],
}
TASKS.update({name: lambda make=make: bouncing(make()) for name, make in REWARDS.items()})


def routing_table(runs: Runs) -> str:
    """Return the gain on both held-out streams with one advantage a stream, and with their sum."""
    columns = [HELD_OUT + name for name in ("calm (minus log of normal flow)", "loud (LUFS)")]
    rows = [["loop", "advantages", "reward", *columns]]
    for loop in LOOPS:
        for task in REWARDS:
            found = [interval(of_seeds(runs, loop, task, runs.best_rate(loop), n)) for n in ("reward", *columns)]
            rows.append([loop, "one a stream" if task == "routed" else "summed", *found])
    return table_of(rows)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tuning.jsonl"), help="where runs are kept, and go on")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    runs = Runs(options.out)
    for seed in SEEDS:
        for loop in LOOPS:
            for task in REWARDS:
                runs(Run(loop, task, runs.best_rate(loop), seed))
    print(routing_table(runs))


if __name__ == "__main__":
    main()
