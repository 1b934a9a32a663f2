"""Measures a student and its fallback: what a small network on a glance at a clip keeps of its teacher, and its cost.

    python benchmarks/students.py [--data sounds|scenes] [--groups 150] [--dimension audio_quality] [--views 1]
                                  [--json out.json]

The teacher is `signals`; with `--views`, its mean over so many windows of a sound: a teacher that costs so many times
as much. Groups are of four candidates: sounds are a tone of one pitch in noise, of four levels, noises and cut-offs;
scenes are a synthetic clip of a second with video and sound, and three of its variants with one defect, as lossless
files. Of the groups 60 % fit the student, and the others give the figures. Encoders and teacher rate eight clips in
turns.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from avreward import Clip, load_rater
from avreward.audit._variants import variants
from avreward.datasets import scene
from avreward.raters import Rater, term
from avreward.training import distill

RATE, SECONDS, CANDIDATES = 24000, 2.0, 4


def sounds(groups: int) -> Iterator[tuple[int, Clip]]:
    """Yield (group, sound)."""
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(int(RATE * SECONDS)) / RATE
    for group in range(groups):
        pitch = 200 + 1200 * float(torch.rand((), generator=generator))
        for _ in range(CANDIDATES):
            level, ratio, cut, rhythm = torch.rand(4, generator=generator).tolist()
            envelope = 0.5 + 0.5 * torch.sin(2 * torch.pi * (1 + 5 * rhythm) * times)
            wave = torch.sin(2 * torch.pi * pitch * times) * envelope
            noise = torch.fft.rfft(torch.randn(len(times), generator=generator))
            noise[int((0.2 + 0.8 * cut) * len(noise)) :] = 0
            wave = wave + 10 ** (-(5 + 45 * ratio) / 20) * torch.fft.irfft(noise, len(times))
            wave = wave / wave.square().mean().sqrt() * 10 ** ((-35 + 30 * level) / 20)
            yield group, Clip(audio=wave.clamp(-1, 1)[None], sample_rate=RATE)


def scenes(groups: int, folder: Path | None = None) -> Iterator[tuple[int, Clip]]:
    """Yield (group, clip); with a folder the clips are files in it, since hundreds of them fill the memory."""
    for group in range(groups):
        clip = scene(group, seconds=1.0).clip
        made = islice(variants(clip, group), group % 2, group % 2 + 2 * (CANDIDATES - 1), 2)
        for number, one in enumerate([clip, *(one for _, one in made)]):
            if folder is not None:
                one.save(path := folder / f"{group}_{number}.mkv")
            yield group, one if folder is None else Clip.open(path)


def over_windows(rater: Rater, dimension: str, views: int) -> Rater:
    """Return a rater of sounds: the mean of a rater's scores of windows of three quarters of the sound."""

    @term(needs="audio", low=0, high=100)
    def windows(clip: Clip) -> Any:
        wave = clip.sound()
        size = 3 * wave.shape[1] // 4
        starts = [(wave.shape[1] - size) * view // max(1, views - 1) for view in range(views)]
        parts = [Clip(audio=wave[:, start : start + size], sample_rate=RATE) for start in starts]
        return rater(parts)[dimension].mean()

    return windows


def measure(data: str, groups: int, dimension: str, views: int = 1) -> dict[str, Any]:
    """Return the figures of one student."""
    signals = load_rater("signals")
    teacher = signals if views == 1 else over_windows(signals, dimension, views)
    with TemporaryDirectory() as place:
        made = list(sounds(groups) if data == "sounds" else scenes(groups, Path(place)))
        found = distill(
            teacher, [clip for _, clip in made], [group for group, _ in made],
            dimension=dimension if views == 1 else "windows",
        )  # fmt: skip
    rank, low, high = found.srcc
    own, theirs = found.seconds
    return {
        "data": data, "dimension": dimension, "views": views, "clips": found.clips, "held_out_groups": found.held_out,
        "srcc": rank, "low": low, "high": high, "error": found.error / found.spread, "coverage": found.coverage,
        "cost": own / theirs, "asked": found.rule.asked if found.rule else None,
        "wrong": found.rule.wrong if found.rule else None,
        "cascade_srcc": found.cascade_srcc if found.rule else None,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table."""
    heads = "data | dimension | views | clips | held-out groups | SRCC | 95 % interval | error / sd | " \
            "within 1.96 sigma | cost, share of the teacher's | falls back | best clip differs | " \
            "SRCC with fallback"  # fmt: skip
    lines = [f"| {heads} |", "|---" * (heads.count("|") + 1) + "|"]
    for row in rows:
        shares = [f"{row[name]:.0%}" if row[name] is not None else "–" for name in ("asked", "wrong")]
        joint = f"{row['cascade_srcc']:.3f}" if row["cascade_srcc"] is not None else "–"
        lines.append(
            f"| {row['data']} | `{row['dimension']}` | {row['views']} | {row['clips']} | {row['held_out_groups']} | "
            f"{row['srcc']:.3f} | "
            f"{row['low']:.3f} to {row['high']:.3f} | {row['error']:.2f} | {row['coverage']:.0%} | {row['cost']:.2f} | "
            f"{shares[0]} | {shares[1]} | {joint} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=["sounds", "scenes"], default=["sounds", "scenes"])
    parser.add_argument("--groups", type=int, default=150)
    parser.add_argument("--dimension", default="audio_quality")
    parser.add_argument("--views", type=int, default=1, help="of sounds, that the teacher rates")
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    rows = [measure(data, arguments.groups, arguments.dimension, arguments.views) for data in arguments.data]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
