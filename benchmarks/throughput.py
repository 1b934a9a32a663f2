"""How fast files become scores, how well decoding and computing overlap, and how much memory that takes.

    python benchmarks/throughput.py [FILES…]

Without files, 480p clips with sound are synthesized (H.264 and AAC, 5 s). Measured in one run, so that the ratios hold
on a noisy machine: decoding alone and computing alone, each with one thread; both overlapped with one thread each; both
with all cores, in threads and in processes that decode and rate, as `score_files` does from 33 files on. The promises:
overlapped at least 0.9 of the slower one alone; with all cores a wall time of at most 1.1 × (decode + compute
CPU-seconds) / cores; at least 15 times real time for 480p on two cores. Peak memory is that of a fresh process each,
for a 480p clip, a 4K clip and an hour of video.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import torch

from avreward import Clip, load_rater, score_files
from avreward.datasets import scene
from avreward.media import resize

FIRST = 300_000  # seed of the first synthesized clip
PROBE = """
import sys
from avreward import Clip, load_rater
import avreward.datasets.synthetic.scenes
rater = load_rater("signals")
if len(sys.argv) > 1:
    scores = rater([Clip.open(sys.argv[1])])
    assert bool(scores.present.all()), scores.reasons
# VmHWM, not ru_maxrss: that one begins with what the parent process had
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Spent:
    """Wall and CPU seconds."""

    wall: float
    cpu: float


class Clock:
    """Measures a block."""

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.spent = Spent(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def make_480p(folder: Path, count: int, seconds: float = 5.0) -> list[Path]:
    """Synthesized clips, scaled to 480 lines, with sensor noise so that they decode like camera pictures."""
    paths = []
    for k in range(count):
        clip = scene(FIRST + k, seconds=seconds).clip
        generator = torch.Generator().manual_seed(k)
        video = resize(clip.video, (480, 854), "bilinear")
        video = (video + torch.randn(video.shape, generator=generator) / 255).clamp(0, 1)
        paths.append(folder / f"{k}.mp4")
        Clip(video=video, times=clip.times, audio=clip.audio, sample_rate=clip.sample_rate).save(paths[-1], crf=23)
    return paths


def make_file(path: Path, size: tuple[int, int], seconds: float, fps: int) -> Path:
    """Return a long or large file, frame by frame: a drifting texture, and noise bursts every second."""
    height, width = size
    rng = np.random.default_rng(0)
    texture = np.kron(
        rng.integers(0, 255, (height // 8 + 1, width // 4 + 1), dtype=np.uint8), np.ones((8, 8), np.uint8)
    )
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "30"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=48_000)
        burst = (rng.standard_normal((1, 48_000)) * 0.2 * np.exp(-np.arange(48_000) / 4000)).astype(np.float32)
        for second in range(round(seconds)):
            for k in range(fps):
                shift = (second * fps + k) * 2 % width
                grey = np.ascontiguousarray(texture[:height, shift : shift + width])
                frame = av.VideoFrame.from_ndarray(np.repeat(grey[:, :, None], 3, 2), format="rgb24")
                frame.pts, frame.time_base = second * fps + k, Fraction(1, fps)
                container.mux(video.encode(frame))
            sound = av.AudioFrame.from_ndarray(burst, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48_000, second * 48_000, Fraction(1, 48_000)
            container.mux(audio.encode(sound))
        container.mux([*video.encode(None), *audio.encode(None)])
    return path


def alone(paths: Sequence[Path]) -> tuple[Spent, Spent, float]:
    """Decode and compute one after the other, in one thread: (decode, compute, seconds of media)."""
    torch.set_num_threads(1)
    rater = load_rater("signals")
    decode, compute, media = Spent(0, 0), Spent(0, 0), 0.0
    for path in paths:
        with Clock() as loading:
            clip = Clip.open(path)
            sample = rater.load(clip)
        with Clock() as rating, torch.no_grad():
            rater.rate([sample])
        decode = Spent(decode.wall + loading.spent.wall, decode.cpu + loading.spent.cpu)
        compute = Spent(compute.wall + rating.spent.wall, compute.cpu + rating.spent.cpu)
        media += clip.seconds
    return decode, compute, media


def apart(paths: Sequence[Path], pool: ProcessPoolExecutor, cores: int) -> float:
    """Wall seconds of as many processes as cores, each with its share of the files, one step after the other.

    Nothing is shared, so it is as fast as this hardware does that work side by side: where two "cores" are the two
    threads of one core, both slow down.
    """
    began = time.perf_counter()
    list(pool.map(alone, [paths[k::cores] for k in range(cores)]))
    return time.perf_counter() - began


def overlapped(paths: Sequence[Path], threads: int | None, isolate: bool = False) -> Spent:
    """`score_files` with so many threads for either part; `None`: its defaults."""
    rater = load_rater("signals")
    with Clock() as clock:
        for scored in score_files(paths, rater, decode_threads=threads, compute_threads=threads, isolate=isolate):
            assert scored.error is None, scored.error
    return clock.spent


def peak_megabytes(path: Path | None) -> float:
    """Return the peak resident size of a fresh process that scores `path`, or that only loads the package."""
    command = [sys.executable, "-c", PROBE, *([str(path)] if path else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def speed_table(paths: Sequence[Path], repeats: int) -> Iterator[str]:
    """Rows of the table of speeds: the median of `repeats` runs, each of which measures everything."""
    cores = len(os.sched_getaffinity(0))
    overlapped(paths[:2], None, isolate=True)  # warm up: imports, caches of the file system
    runs = []
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        apart(paths[: 2 * cores], pool, cores)  # warm up: processes start, imports
        for _ in range(repeats):
            decode, compute, media = alone(paths)
            three = overlapped(paths, 1), overlapped(paths, None), overlapped(paths, None, isolate=True)
            runs.append((decode, compute, media, *three, apart(paths, pool, cores)))
    runs.sort(key=lambda run: run[4].wall)
    decode, compute, media, single, full, isolated, limit = runs[len(runs) // 2]
    yield "| what | files/s | × real time | wall s | CPU s |"
    yield "|---|---|---|---|---|"
    rows = (
        ("decode alone, 1 thread", decode),
        ("compute alone, 1 thread", compute),
        ("overlapped, 1 thread each", single),
        (f"overlapped, all {cores} cores, in threads", full),
    )
    for name, spent in rows:
        numbers = f"{len(paths) / spent.wall:.2f} | {media / spent.wall:.1f} | {spent.wall:.2f} | {spent.cpu:.2f}"
        yield f"| {name} | {numbers} |"
    name, wall = f"{cores} processes that decode and rate", isolated.wall
    yield f"| {name} | {len(paths) / wall:.2f} | {media / wall:.1f} | {wall:.2f} | |"
    yield f"| {cores} processes, nothing shared | {len(paths) / limit:.2f} | {media / limit:.1f} | {limit:.2f} | |"
    slower = max(decode.wall, compute.wall)
    ratios = sorted(max(d.wall, c.wall) / s.wall for d, c, _, s, *_ in runs)
    whole = sorted(f.wall / ((d.cpu + c.cpu) / cores) for d, c, _, _, f, *_ in runs)
    processes = sorted(i.wall / ((d.cpu + c.cpu) / cores) for d, c, _, _, _, i, _ in runs)
    spent = sorted(f.wall / (f.cpu / cores) for _, _, _, _, f, *_ in runs)
    against = sorted(f.wall / p for _, _, _, _, f, _, p in runs)
    yield ""
    one, all_cores = slower / single.wall, whole[len(whole) // 2]
    yield f"- one thread each against the slower alone: {one:.2f} (promise ≥ 0.90; runs {spread(ratios)})"
    yield f"- all cores, wall × cores / CPU-seconds alone: {all_cores:.2f} (promise ≤ 1.10; runs {spread(whole)})"
    middle = processes[len(processes) // 2]
    yield f"- the same in processes that decode and rate: {middle:.2f} (promise ≤ 1.10; runs {spread(processes)})"
    own = spent[len(spent) // 2]
    yield f"- all cores in threads, with the CPU-seconds of that run itself: {own:.2f} (runs {spread(spent)})"
    yield f"- all cores against processes that share nothing: {against[len(against) // 2]:.2f} (runs {spread(against)})"
    yield f"- real time on {cores} cores: × {media / full.wall:.1f} (promise ≥ 15 for 480p on two cores)"


def spread(values: Sequence[float]) -> str:
    """Least to most."""
    return f"{values[0]:.2f}–{values[-1]:.2f}"


def memory_table(folder: Path, typical: Path) -> Iterator[str]:
    """Rows of the table of peak memory."""
    base = peak_megabytes(None)
    yield "| one clip in a fresh process | peak MB | above the package itself |"
    yield "|---|---|---|"
    yield f"| the package alone | {base:.0f} | |"
    cases = (
        ("480p, 5 s", typical),
        ("4K (3840 × 2160), 5 s", make_file(folder / "4k.mp4", (2160, 3840), 5, 24)),
        ("one hour (640 × 360, 25 fps)", make_file(folder / "hour.mp4", (360, 640), 3600, 25)),
    )
    for name, path in cases:
        peak = peak_megabytes(path)
        yield f"| {name} | {peak:.0f} | {peak - base:.0f} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=16, help="how many clips are synthesized")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true", help="leave out the table of peak memory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = arguments.files or make_480p(folder, arguments.count)
        for line in speed_table(paths, arguments.repeats):
            print(line, flush=True)
        if not arguments.no_memory:
            print()
            for line in memory_table(folder, paths[0]):
                print(line, flush=True)


if __name__ == "__main__":
    main()
