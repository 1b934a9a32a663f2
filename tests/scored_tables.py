"""Scored tables for tests, written as `avreward score` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avreward.scoring.table_reader import ScoredTable, read_table
from avreward.scoring.table_writer import TableWriter

SCORES = ("toy.quality", "toy.sync")


def write(
    path: Path, rows: Iterable[Mapping[str, Any]], scores: Sequence[str] = SCORES, group_by: str | None = "prompt"
) -> Path:
    """A table of `rows`; what they don't say is filled in: a key, a clip, a group that is the prompt."""
    with TableWriter(path, scores, {"group_by": group_by, "reward": "toy.quality"}) as table:
        for i, row in enumerate(rows):
            filled = {"clip": f"clips/{i:04d}.mp4", "clip_key": f"{i * 2654435761 % 2**128:032x}", **row}
            filled.setdefault("group", filled.get("prompt"))
            table.add(**filled)
    return path


def pools(path: Path, values: Sequence[Sequence[float]], **columns: Sequence[Sequence[Any]]) -> ScoredTable:
    """A table with a prompt for each list of rewards."""
    rows = [
        {"prompt": f"prompt {p}", "reward": value, **{name: table[p][i] for name, table in columns.items()}}
        for p, pool in enumerate(values)
        for i, value in enumerate(pool)
    ]
    return read_table(write(path, rows))


def varied(path: Path, prompts: int = 40, n: int = 8, seed: int = 0) -> Path:
    """Clips with covariates that leak: louder, longer, larger and livelier ones have higher rewards."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(prompts):
        for i in range(n):
            quality, loud, motion = rng.normal(size=3)
            seconds, width = rng.choice([4.0, 5.0]), int(rng.choice([320, 640]))
            leak = loud + 0.5 * motion + (seconds - 4.5) + (width - 480) / 320
            rows.append(
                {
                    "clip": f"clips/p{p}/{i}.mp4", "prompt": f"prompt {p}", "toy.quality": quality,
                    "toy.sync": 0.5 * quality + rng.normal(), "reward": quality + leak, "sigma": 0.2,
                    "seconds": seconds, "fps": 24.0,
                    "frames": int(24 * seconds), "width": width, "height": width // 2, "sample_rate": 16000,
                    "loudness": -23 + 2 * loud, "motion": float(np.exp(motion / 2)), "seed": i, "fingerprint": "f1",
                }
            )  # fmt: skip
    return write(path, rows)
