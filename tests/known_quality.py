"""Clips whose quality is known, for training tiny raters."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from training_truth import as_pairs as as_pairs
from training_truth import noisy_tone as noisy_tone

from avreward import Clip


def noisy_video(seed: int) -> dict[str, Any]:
    """A row with a still image in noise: the less noise, the better (1 to 5)."""
    dice = torch.Generator().manual_seed(seed)
    share = float(torch.rand((), generator=dice))
    still = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4, generator=dice), size=(32, 32), mode="bilinear")
    video = still * share + (1 - share) * torch.rand(8, 3, 32, 32, generator=dice)
    return {"clip": Clip(video=video, fps=4), "quality": 1 + 4 * share, "group": f"g{seed}"}


def write_table(path: Path, count: int, start: int) -> str:
    """Write tones to files beside a table of them, with their quality under mos."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "group", "mos"])
        for number in range(start, start + count):
            row = noisy_tone(number)
            row["clip"].save(path.parent / f"{number}.wav")
            rows.writerow([f"{number}.wav", row["group"], row["speech_quality"]])
    return str(path)
