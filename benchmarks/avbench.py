"""What AVBench's ten judges cost: CPU time and memory of each, and of decoding a clip once or ten times.

    python benchmarks/avbench.py [--judges NAME …]
    python benchmarks/avbench.py --decoding [--files 4]

All weights are random; the clip is a synthesized scene of 5 s in 480p, in float32, batch 1. Each judge runs in a
process of its own, the second of two calls is measured. Networks below 1.5 billion weights have their published size.
Of the language models and of Whisper one layer of each stack is built, then two of one stack at a time; time and
weights of all layers follow, and such rows are labelled *computed*. Their vocabulary is small: it is only looked up and
read at one position, and its weights are added. Whisper writes 40 tokens.

Times are the process's CPU time, of all threads together, since other programs hardly change it. *A call adds*: the
process's high-water mark less what it held before the call. The last two rows compute what the judges need one after
the other and all together: weights in memory, and the largest of what a call adds among those that were measured.

``--decoding`` measures `load` alone: each judge by itself against all ten in `AvBenchRater`, with narrow networks,
since decoding does not depend on them. It also counts how often files are opened for decoding, and the frames that come
out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from avbench_judges import JUDGES, narrow_avbench
from medium_agav import machine
from throughput import make_480p
from video_raters import peak, reset_peak

from avreward import Clip
from avreward.media._audio import clock
from avreward.media._video import seek

TEXTS = {"audio_prompt": "A man speaks while rain falls on a tin roof.", "speech": "It has rained since this morning."}
PROMPT = "A man stands at the door of a hut and talks while it rains."
BYTES = 4  # of a float32


def run(name: str, path: Path, narrow: bool = False) -> dict[str, float]:
    """Measure one judge in this process: weights, seconds and bytes, of the whole network or computed for it."""
    judge = JUDGES[name]
    if not judge.stacks:
        return measured(name, path, {}, narrow)
    one = measured(name, path, {}, narrow)
    found = dict(one)
    for stack, layers in judge.stacks.items():
        two = measured(name, path, {stack: 2}, narrow)
        for key in ("weights", "seconds"):
            found[key] += (layers - 1) * max(0.0, two[key] - one[key])
        found["peak"] = max(found["peak"], two["peak"])
    found["weights"] += judge.vocabulary
    return found | {"built": one["weights"]}


def measured(name: str, path: Path, layers: Mapping[str, int], narrow: bool) -> dict[str, float]:
    """Return weights, CPU seconds of a call and what it adds to the memory, in bytes."""
    torch.manual_seed(0)
    rater = JUDGES[name].build(narrow, layers)
    weights = float(sum(parameter.numel() for parameter in rater.module.parameters())) if rater.module else 0.0
    with torch.no_grad():
        for _ in range(2):
            clip = Clip.open(path, prompt=PROMPT, texts=TEXTS)
            before = reset_peak("cpu")
            started = time.process_time()
            scores = rater([clip])
            seconds = time.process_time() - started
            used = peak("cpu") - before
    if not scores.present.any():
        raise SystemExit(f"{name}: no score: {scores.reasons[0]}")
    return {"weights": weights, "seconds": seconds, "peak": used}


def costs(names: Sequence[str]) -> None:
    """Print a row a judge, and those of all."""
    print(f"{machine()}; float32, batch 1, a clip of 5 s in 480p\n")
    print("| dimension | weights | CPU time a clip | weights in memory | a call adds | |")
    print("|---|---:|---:|---:|---:|---|")
    every: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        (path,) = make_480p(Path(folder), 1)
        for name in names:
            options = ["--judge", name, "--clip", str(path)]
            done = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name}: {done.stderr[-2000:]}")
            every[name] = found = json.loads(done.stdout.splitlines()[-1])
            adds = "–" if "built" in found else f"{found['peak'] / 1e6:.0f} MB"  # few layers do not show it
            note = f"*computed* from {found['built'] / 1e6:.0f} M" if "built" in found else "measured"
            cells = (f"`{name}`", f"{found['weights'] / 1e6:.1f} M", f"{found['seconds']:.1f} s")
            print(f"| {' | '.join(cells)} | {_gigabytes(found['weights'])} | {adds} | {note} |", flush=True)
    print("\n".join(totals(every)))


def totals(every: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the rows of all judges: one after the other, and all together."""
    adds = max((found["peak"] for found in every.values() if "built" not in found), default=0.0)
    weights = [found["weights"] for found in every.values()]
    seconds = sum(found["seconds"] for found in every.values())
    whole = f"{sum(weights) / 1e6:.0f} M | {seconds:.0f} s"
    return [
        f"| {label} | {whole} | {_gigabytes(held)} | {adds / 1e6:.0f} MB | *computed* |"
        for label, held in (("one after the other", max(weights)), ("all together", sum(weights)))
    ]


def _gigabytes(weights: float) -> str:
    return f"{weights * BYTES / 1e9:.2f} GB"


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Count files opened for decoding, and the frames that come out."""
    counts: Counter[str] = Counter()
    opened, advance = seek.reading, seek._Walk._advance

    def reading(*given: object) -> object:
        counts["opened"] += 1
        return opened(*given)  # type: ignore[arg-type]

    def advanced(walk: seek._Walk) -> bool:
        there = advance(walk)
        counts["frames"] += there
        return there

    with (
        mock.patch.object(seek, "reading", reading),
        mock.patch.object(clock, "reading", reading),
        mock.patch.object(seek._Walk, "_advance", advanced),
    ):
        yield counts


def decoding(files: int) -> None:
    """Print what decoding costs ten judges apart and together."""
    rater = narrow_avbench()
    ways = {"ten judges, each by itself": [judge for judge, _ in rater.parts.values()], "`AvBenchRater`": [rater]}
    print(f"{machine()}; {files} clips of 5 s in 480p, `load` alone\n")
    print("| | CPU time a clip | opened for decoding | frames decoded |")
    print("|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_480p(Path(folder), files + 1)
        for label, raters in ways.items():
            seconds, counts = 0.0, Counter[str]()
            for number, path in enumerate(paths):
                clip = Clip.open(path, prompt=PROMPT, texts=TEXTS)
                _ = dict(clip.keys), clip.width  # hashes of packets, and the first frame's orientation, once for all
                with counting() as found:
                    started = time.process_time()
                    for one in raters:
                        one.load(clip)
                    spent = time.process_time() - started
                if number:  # the first warms up
                    seconds, counts = seconds + spent, counts + found
            cells = (f"{seconds / files:.2f} s", f"{counts['opened'] / files:.0f}", f"{counts['frames'] / files:.0f}")
            print(f"| {label} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", nargs="+", choices=JUDGES, default=list(JUDGES))
    parser.add_argument("--decoding", action="store_true", help="measure decoding alone")
    parser.add_argument("--files", type=int, default=4, help="of --decoding")
    parser.add_argument("--judge", choices=JUDGES, help=argparse.SUPPRESS)
    parser.add_argument("--clip", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.judge:
        print(json.dumps(run(arguments.judge, arguments.clip)))
    elif arguments.decoding:
        decoding(arguments.files)
    else:
        costs(arguments.judges)


if __name__ == "__main__":
    main()
