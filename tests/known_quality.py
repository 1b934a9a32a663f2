"""Clips whose quality is known, for training tiny raters."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from avreward import Clip


def noisy_tone(seed: int, seconds: float = 0.4) -> dict[str, Any]:
    """A row with a tone in noise: the less noise, the better (1 to 5)."""
    dice = torch.Generator().manual_seed(seed)
    share, pitch = torch.rand(2, generator=dice).tolist()
    times = torch.arange(int(16000 * seconds)) / 16000
    tone = (2 * torch.pi * (200 + 800 * pitch) * times).sin()
    sound = 0.3 * (share * tone + (1 - share) * torch.randn(len(times), generator=dice)).clamp(-3, 3)
    return {"clip": Clip(audio=sound[None], sample_rate=16000), "speech_quality": 1 + 4 * share, "group": f"g{seed}"}


def noisy_video(seed: int) -> dict[str, Any]:
    """A row with a still image in noise: the less noise, the better (1 to 5)."""
    dice = torch.Generator().manual_seed(seed)
    share = float(torch.rand((), generator=dice))
    still = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4, generator=dice), size=(32, 32), mode="bilinear")
    video = still * share + (1 - share) * torch.rand(8, 3, 32, 32, generator=dice)
    return {"clip": Clip(video=video, fps=4), "quality": 1 + 4 * share, "group": f"g{seed}"}


def as_pairs(rows: list[dict[str, Any]], dimension: str, steps: tuple[int, ...] = (1, 7)) -> list[dict[str, Any]]:
    """Rows of a pair table: each clip against some others."""
    found = []
    for step in steps:
        for first, second in zip(rows, rows[step:] + rows[:step], strict=True):
            won = "first" if first[dimension] > second[dimension] else "second"
            found.append({"first": first["clip"], "second": second["clip"], dimension: won, "group": first["group"]})
    return found


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
