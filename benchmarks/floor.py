"""What `signals` takes from file to score beside the least that any rater of the same frames and sound has to do.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/floor.py [FILES…] --repeats 15

The floor, by PyAV alone: decode each frame, scale it to 160 pixels as 8-bit RGB, decode the sound. Ours: open the file,
decode all views, measure, fuse; two rows say what the sound and the single frames take of it. CPU time, which other
work on the machine disturbs least; floor and ours alternate, and their ratio is that of each pair of runs. On one core:
on several, FFmpeg's scaler starts threads for each frame, and the floor is higher. Without files a 480p clip of 5 s
with sound is synthesized (H.264, AAC).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import torch

from avreward import Clip, load_rater
from avreward.raters import Sample, Work
from avreward.raters.signals._gates import soft
from avreward.raters.signals._measurement import MEASUREMENTS

sys.path.insert(0, str(Path(__file__).parent))

from throughput import make_480p

SIDE = 160


def decoded(path: Path) -> None:
    """Decode each frame of the video."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for _ in container.decode(video=0):
            pass


def scaled(path: Path) -> None:
    """Decode each frame, and scale it as `signals` does: the longer side to 160 pixels, 8-bit RGB."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        factor = SIDE / max(stream.width, stream.height)
        width, height = round(stream.width * factor), round(stream.height * factor)
        for frame in container.decode(video=0):
            frame.reformat(width, height, "rgb24").to_ndarray()


def heard(path: Path) -> None:
    """Decode the sound."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            frame.to_ndarray()


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of `work` in s."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measured(path: Path, repeats: int) -> dict[str, list[float]]:
    """Return the CPU times of each step in ms, and the ratios of ours to the floor."""
    rater = load_rater("signals")
    found: dict[str, list[float]] = {}
    held: list[Sample] = []

    def loaded() -> None:
        held[:] = [rater.load(Clip.open(path), Work())]

    def framed() -> None:
        video = held[0].tracks["video"]
        frames = replace(video.frames)  # without what was measured
        for measurement in MEASUREMENTS:
            if measurement.view == "frames":
                measurement.measure(frames, soft)

    for turn in range(repeats + 1):
        steps: dict[str, Callable[[], object]] = {
            "decode": lambda: decoded(path),
            "decode and scale": lambda: scaled(path),
            "sound": lambda: heard(path),
            "ours: open and decode": loaded,
            "… of it the sound": lambda: rater.load_track(held[0].clip, "audio"),
            "ours: rate": lambda: rater.rate(held, Work()),
            "… of it the single frames": framed,
        }
        times = {name: 1e3 * seconds(step) for name, step in steps.items()}
        times["floor"] = times["decode and scale"] + times["sound"]
        times["ours"] = times["ours: open and decode"] + times["ours: rate"]
        if turn:  # the first one warms up
            for name, value in times.items():
                found.setdefault(name, []).append(value)
            found.setdefault("ours over floor", []).append(times["ours"] / times["floor"])
    return found


def table(found: dict[str, list[float]]) -> list[str]:
    """Return the rows of a Markdown table."""
    rows = ["| CPU ms a clip | min | median | max |", "|---|---|---|---|"]
    for name, values in found.items():
        digits = 2 if name == "ours over floor" else 0
        cells = (min(values), statistics.median(values), max(values))
        rows.append(f"| {name} | " + " | ".join(f"{value:.{digits}f}" for value in cells) + " |")
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for path in given.files or make_480p(Path(folder), 1):
            print(f"{path.name}:\n")
            print("\n".join(table(measured(path, given.repeats))) + "\n")


if __name__ == "__main__":
    main()
