"""Calculates what a million clips cost, and how the time falls on up to a thousand workers, from what is measured here.

    python benchmarks/fleet.py [--seconds NAME=SECONDS …] [--clips 1000000] [--length 4] [--samples 8]

Measured: CPU seconds a clip of raters that need no weights (files of `--length` seconds, 256 × 192 at 24 fps with sound
at 24 kHz, decoding included), the bytes of a file, and the CPU seconds in which one process writes and reads a row of a
scored table. `--seconds` adds raters that were measured elsewhere, such as on a GPU.

Calculated, for n workers: rating takes clips · seconds / n. Opening files takes clips · requests a file over the rate
at which an object store answers (5,500 a second for a prefix, as Amazon documents for S3). One process writes the rows
of a Ray run, and one reads the tables of all processes: this does not fall with n. The steps overlap, so the time is
that of the slowest, and the share of it that n workers use is the efficiency.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from avreward import Clip, load_rater
from avreward.datasets import scene
from avreward.raters import Rater
from avreward.raters.listener import GlanceFeatures
from avreward.scoring import read_table
from avreward.scoring.table_writer import TableWriter

WORKERS = (1, 8, 64, 256, 1000)
GETS, REQUESTS = 5500, 3  # requests a second that a prefix answers; requests a file: header, index, data
RATERS: Mapping[str, Callable[[], Rater]] = {
    "signals": lambda: load_rater("signals"),
    "signals.stereo": lambda: load_rater("signals.stereo"),
    "glance (a student)": GlanceFeatures,
}


def rating(length: float, samples: int) -> tuple[dict[str, float], float]:
    """Return CPU seconds a clip of each rater, and the bytes of a file."""
    with tempfile.TemporaryDirectory() as place:
        files = []
        for number in range(samples):
            files.append(Path(place) / f"{number}.mp4")
            scene(number, seconds=length).clip.save(files[-1])
        found = {}
        for name, make in RATERS.items():
            rater = make()
            with torch.no_grad():
                rater([Clip.open(files[0])])
                begun = time.process_time()
                for file in files:
                    rater([Clip.open(file)])
            found[name] = (time.process_time() - begun) / samples
        return found, sum(file.stat().st_size for file in files) / samples


def rows(count: int = 20000) -> tuple[float, float]:
    """Return the CPU seconds in which a row of a scored table is written, and read."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "table.parquet"
        begun = time.process_time()
        with TableWriter(path, ["signals.overall"], {}) as writer:
            for number in range(count):
                row = {"clip": f"{number}.mp4", "clip_key": "0" * 32, "signals.overall": 0.5, "reward": 0.5}
                writer.add(**row)
        written = time.process_time() - begun
        begun = time.process_time()
        read_table(path).numbers("reward")
        return written / count, (time.process_time() - begun) / count


def hours(clips: int, seconds: float, write: float, workers: int) -> tuple[float, float]:
    """Return the hours that `workers` take, and their efficiency."""
    rated, opened, written = clips * seconds / workers, clips * REQUESTS / GETS, clips * write
    slowest = max(rated, opened, written)
    return slowest / 3600, rated / slowest


def table(costs: Mapping[str, float], clips: int, write: float) -> str:
    """Return a Markdown table: a row a rater."""
    heads = ["rater", "seconds a clip", "core hours", *(f"hours, {n:,} workers" for n in WORKERS)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, seconds in costs.items():
        cells = []
        for workers in WORKERS:
            time_, share = hours(clips, seconds, write, workers)
            cells.append(f"{time_:.3g}" + ("" if share > 0.995 else f" ({share:.0%})"))
        lines.append(f"| {name} | {seconds:.3g} | {clips * seconds / 3600:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", nargs="*", default=[], metavar="NAME=SECONDS", help="of raters measured elsewhere")
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--length", type=float, default=4.0, help="seconds of a clip")
    parser.add_argument("--samples", type=int, default=8, help="clips that are measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    costs, size = rating(arguments.length, arguments.samples)
    costs |= {name: float(text) for name, _, text in (one.rpartition("=") for one in arguments.seconds)}
    write, read = rows()
    print(table(costs, arguments.clips, write))
    print(f"\n{arguments.clips:,} clips of {arguments.length:g} s; {size * arguments.clips / 1e9:,.0f} GB of files.")
    print(f"A row is written in {1e6 * write:.0f} µs and read in {1e6 * read:.1f} µs of one process.")
    print("In brackets: the share of the workers' time that is used, where it is below 99.5 %.")


if __name__ == "__main__":
    main()
