"""What each recipe that fine-tunes gains over its control, beside the margin that was stated for it.

    python recipes/margins.py --out margins.jsonl [--recipes raft_audio nft_ltx2] [--seeds 0 1 2]

A seed of a recipe, trained and control, is kept as a line of the file as soon as it is done: the command goes on where
it was stopped. Intervals are 95 % ones over seeds, by Student's t. Over the control: each seed's gain less that of its
control.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from denormals import flushed_denormals
from json_lines import append_line, read_lines
from tuned import Task, compare, interval
from tuned_joint import bouncing
from tuned_tasks import dubbing

TASKS: dict[str, Callable[[], Task]] = {
    "draft_v2a": dubbing,
    "raft_audio": dubbing,
    "diffusion_dpo": dubbing,
    "draft_ltx2": bouncing,
    "nft_ltx2": bouncing,
    "flow_grpo_wan": lambda: importlib.import_module("flow_grpo_wan").tiny(),
}
RECIPES = (*TASKS, "grpo_sound_writer")
Row = dict[str, Any]


def rows_of(name: str, seed: int) -> list[Row]:
    """Train a recipe and its control; return a row a score: before, gain, control."""
    recipe = importlib.import_module(name)
    with flushed_denormals():
        if name in TASKS:
            return compare(TASKS[name](), recipe.PLAN, [seed])
        return recipe.gains_over_control([seed])


def margins_of(name: str) -> Mapping[str, float]:
    """Return the margins that a recipe states, score → margin."""
    recipe = importlib.import_module(name)
    return recipe.PLAN.margins if name in TASKS else recipe.MARGINS


class Kept:
    """The seeds in a file, one JSON line each; a line that was cut off is run again."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, dict[tuple[str, int], Row]()
        for row in read_lines(path):
            self.found[row["recipe"], row["seed"]] = row

    def __call__(self, name: str, seed: int) -> Row:
        """Return what is known of a seed of a recipe; train where the file lacks it."""
        if (name, seed) not in self.found:
            started = time.process_time()
            row = {"recipe": name, "seed": seed, "rows": rows_of(name, seed)}
            row["seconds"] = time.process_time() - started
            append_line(self.path, row)
            self.found[name, seed] = row
            print(f"{name}, seed {seed}: {row['seconds']:.0f} CPU seconds", flush=True)
        return self.found[name, seed]


def table(kept: Kept, names: Sequence[str], seeds: Sequence[int]) -> str:
    """Return the table: a row for each score with a margin."""
    head = ["recipe", "score", "before", "gain", "control's gain", "over the control", "lowest seed", "margin", "kept"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in names:
        for score, margin in margins_of(name).items():
            rows = [row for seed in seeds for row in kept(name, seed)["rows"] if row["score"] == score]
            over = [row["gain"] - row["control"] for row in rows]
            risen = fmean(over) >= margin and fmean(row["gain"] for row in rows) > 0
            cells = [f"`{name}.py`", score, f"{fmean(row['before'] for row in rows):.3f}",
                     *(interval([row[column] for row in rows]) for column in ("gain", "control")),
                     interval(over), f"{min(over):+.3f}", f"{margin:g}", "yes" if risen else "no"]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("margins.jsonl"), help="where seeds are kept, and go on")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kept = Kept(options.out)
    print(f"\n{table(kept, options.recipes, options.seeds)}")


if __name__ == "__main__":
    main()
