"""One advantage for each stream of a joint generator against their sum, where the streams' rewards are independent.

    python benchmarks/tuning_streams.py --out runs.jsonl

A calm video with loud audio from `recipes/tiny_joint`: of many samples one stream is better than the mean of their
prompt and the other worse (the command prints the share). Routed: the video follows the term of the video, the audio
that of the audio. Summed: both terms may move both streams, which then follow one advantage.
The learning rates are those of the recipes, the same for both ways. A run is kept as a line of the file as soon as it
is done.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from tiny_joint import tiny_joint
from tiny_joint.check import sampled
from tuned import interval
from tuned_joint import CALM, LOUD, bouncing, calm, level, loud, still
from tuning import SEEDS, TASKS, Run, Runs, of_seeds, table_of

from avreward import Clip, Reward, term

RATES = {"Flow-GRPO": 3e-3, "DiffusionNFT": 1e-3}  # as in recipes/flow_grpo_wan.py and nft_ltx2.py


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


def opposite_share(clips: Mapping[str, Sequence[Clip]]) -> float:
    """Return the share of clips whose streams lie on opposite sides of their prompt's means."""
    sides = []
    for own in clips.values():
        first, second = (torch.stack([score(clip) for clip in own]) for score in (still, level))
        sides.append((first - first.mean()) * (second - second.mean()) < 0)
    return float(torch.cat(sides).float().mean())


def routing_table(runs: Runs, loops: Sequence[str]) -> str:
    """Return the gain on both held-out streams with one advantage a stream, and with their sum."""
    columns = [CALM, LOUD]
    rows = [["loop", "advantages", "reward", *columns]]
    for loop in loops:
        for task in REWARDS:
            found = [interval(of_seeds(runs, loop, task, RATES[loop], n)) for n in ("reward", *columns)]
            rows.append([loop, "one a stream" if task == "routed" else "summed", *found])
    return table_of(rows)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tuning_streams.jsonl"), help="where runs are kept, and go on")
    parser.add_argument("--loops", nargs="+", choices=RATES, default=list(RATES))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    runs = Runs(options.out)
    for seed in SEEDS:
        for loop in options.loops:
            for task in REWARDS:
                runs(Run(loop, task, RATES[loop], seed))
    print(f"{opposite_share(sampled(tiny_joint(), 32)):.0%} of the samples before training are better than the mean "
          f"of their prompt in one stream and worse in the other\n\n{routing_table(runs, options.loops)}")  # fmt: skip


if __name__ == "__main__":
    main()
