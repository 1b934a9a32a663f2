"""What best-of-N costs beyond making and judging candidates; its memory; and the work that a group shares.

    python benchmarks/best_of_n.py [--n 16 64 256] [--dubs 2 8 32]

Time: a generator and a rater that do nothing but hand out what is ready, so that what is left is the loop: choosing,
keeping, the columns of the table (with the hash that names a clip), and with `out=` the journal and the kept files. On
a pipeline: a tiny LTX-2, called through `BestOfN` and in a plain loop with one generator a seed, which encodes the
prompt for every candidate; the clips are the same. Each time is the best of three, taken in turn. Memory: the peak of
a process (VmHWM) that makes N clips of 9.4 MB each. Shared work: dubs of one video, judged by a small random
AGAV-Rater and by `signals`; calls of the picture's encoder and decodings of the picture are counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from tiny_agav_rater import SPECIAL, random_network, tiny_config, tiny_tokenizer, write_official
from tiny_ltx2 import PLAIN
from tiny_pipelines import tiny_ltx2_with_text

from avreward import BestOfN, Clip, Dimension, Scores, load_rater
from avreward.raters import Rater, Sample, Track, Work

BATCH, RUNS = 4, 3


class Instant(Rater):
    """A rater that takes no time: the first value of the sound."""

    name, fingerprint, tracks = "instant", "instant 1", ("audio",)
    dimensions = (Dimension("value", -1, 1, frozenset({"audio"})),)

    def load_track(self, clip: Clip, track: Track) -> Any:
        """Return the sound."""
        return clip.sound()

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Its first value."""
        rows = [({"value": sample.tracks["audio"][0, 0]}, {}, {}) for sample in samples]
        return Scores.collect(rows, self.dimensions)


def dub(condition: Clip | None, seed: int) -> Clip:
    """Return a second of noise, on the video of the condition."""
    sound = torch.rand(1, 16000, generator=torch.Generator().manual_seed(seed)) - 0.5
    return Clip(audio=sound, sample_rate=16000) if condition is None else condition.with_audio(sound, 16000)


def video(seed: int, frames: int = 16, side: int = 128) -> Clip:
    """Return a video of noise."""
    video = torch.rand(frames, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return Clip(video=video, fps=16)


def loop_time(n: int, keep: int, saved: bool) -> float:
    """Milliseconds a candidate beyond a ready-made clip and an instant rater."""
    ready = [dub(None, seed) for seed in range(n)]
    reward = Instant()["value"]
    best = float("inf")
    for _ in range(RUNS):
        with TemporaryDirectory() as folder:
            out = Path(folder) / "run" if saved else None
            search = BestOfN(lambda condition, seed: ready[seed], reward, n, batch_size=BATCH, keep=keep, out=out)
            began = time.perf_counter()
            search()
            best = min(best, time.perf_counter() - began)
    return 1000 * best / n


def pipeline_time(n: int) -> tuple[float, float]:
    """Milliseconds a candidate of a tiny LTX-2: in a plain loop, and through `BestOfN`."""
    pipe, reward = tiny_ltx2_with_text(), Instant()["value"]
    call: dict[str, Any] = {"prompt": "rain", "height": 32, "width": 32, "num_frames": 9, "num_inference_steps": 4}
    call |= PLAIN

    def plain() -> None:
        for seed in range(n):
            pipe(**call, output_type="pt", generator=torch.Generator().manual_seed(seed))

    search = BestOfN(pipe, reward, n)
    times = dict.fromkeys(("plain", "search"), float("inf"))
    for _ in range(RUNS):
        for name, run in (("plain", plain), ("search", lambda: search(**call))):
            began = time.perf_counter()
            run()
            times[name] = min(times[name], time.perf_counter() - began)
    return 1000 * times["plain"] / n, 1000 * times["search"] / n


def peak(n: int) -> float:
    """Megabytes that a process takes at most for N videos with `keep=2`."""
    code = f"import best_of_n; best_of_n.make_films({n})"
    # Videos are handed back to the system when they are forgotten: else the peak is that of glibc's own hoard.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def make_films(n: int) -> None:
    """Make N videos of 9.4 MB and print the peak of this process in MB."""
    torch.set_num_threads(1)

    def generate(condition: None, seed: int) -> Clip:
        return video(seed, frames=48).with_audio(dub(None, seed))

    BestOfN(generate, Instant()["value"], n, batch_size=BATCH, keep=2)()
    lines = Path("/proc/self/status").read_text().splitlines()
    print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)


def counted(owner: Any, name: str, calls: list[Any], wanted: Callable[..., bool]) -> None:
    """Count calls of a method of one object."""
    own = getattr(owner, name)

    def count(*arguments: Any, **named: Any) -> Any:
        if wanted(*arguments):
            calls.append(1)
        return own(*arguments, **named)

    setattr(owner, name, count)


def shared(n: int) -> tuple[int, int]:
    """Count calls of the picture's encoder of a small AGAV-Rater, and decodings of the picture by `signals`."""
    with TemporaryDirectory() as folder:
        tokenizer = tiny_tokenizer(SPECIAL)
        write_official(random_network(tiny_config(len(tokenizer), frames=2)), tokenizer, Path(folder))
        agav: Any = load_rater(folder, dtype="float32")
    signals, encoded, decoded = load_rater("signals"), list[Any](), list[Any]()
    counted(agav.backbone, "encode", encoded, lambda track, *_: track == "video")
    counted(signals, "load_track", decoded, lambda clip, track: track == "video")
    BestOfN(dub, agav["overall"] + signals["overall"], n, batch_size=BATCH)(video(0, 8, 64))
    return len(encoded), len(decoded)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--dubs", type=int, nargs="+", default=[2, 8, 32])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| candidates | in memory, ms each | with `out=`, ms each | peak memory, videos of 9.4 MB |\n|---|---|---|---|"
    )
    for n in options.n:
        print(f"| {n} | {loop_time(n, 2, False):.2f} | {loop_time(n, 2, True):.2f} | {peak(n):.0f} MB |", flush=True)
    plain, search = pipeline_time(16)
    print(f"\ntiny LTX-2, 16 candidates: {plain:.1f} ms each in a plain loop, {search:.1f} ms through BestOfN\n")
    print("| dubs of one video | calls of the picture's encoder | decodings of the picture |\n|---|---|---|")
    for n in options.dubs:
        print("| {} | {} | {} |".format(n, *shared(n)), flush=True)


if __name__ == "__main__":
    main()
