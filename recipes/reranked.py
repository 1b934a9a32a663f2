"""What the recipes of best-of-N share: their options, and what they print and write at the end."""

from __future__ import annotations

import argparse
from pathlib import Path

from avreward import Selection


def parser_of(name: str, doc: str | None, batch_size: int = 1) -> argparse.ArgumentParser:
    """`--n`, `--batch-size` and `--out`; the recipe adds what it asks for."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=batch_size, help="candidates at a time: as many as fit")
    parser.add_argument("--out", type=Path, default=Path(name), help="where a run is kept, and goes on")
    return parser


def show(found: Selection, best: Path) -> None:
    """Print the ranking and what it cost; write the best clip to `best`, and the table beside it."""
    for candidate in found.ranked:
        print(f"{candidate.reward:8.3f}  seed {candidate.seed}{'  (known)' if candidate.known else ''}")
    for index, why in found.missing.items():
        print(f" missing  seed {found.candidates[index].seed}: {why}")
    print(f"{found.cost.steps} denoising steps, {found.cost.decodes} decodes, {found.cost.rewards} rewards")
    found.best.save(best)
    found.table(best.with_name("scores.parquet"))
    print(f"best of {len(found.candidates)}: seed {found.ranked[0].seed}, in {best}")
