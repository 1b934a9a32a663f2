"""What the evaluation loop costs: `score_files`, best-of-N and a TRL step, before and after a change.

    python benchmarks/evaluator.py --before PATH [--rounds 7] [--clips 16] [--seconds 2]

PATH is a checkout of an earlier version. Clips with video and audio are synthesized once (H.264 and AAC); then both
versions run each task in turn, each time in a new process, and change places every round, so that the ratios hold on a
noisy machine. A process runs its task once to warm up and three times on the clock, with one thread of torch. Each task
goes from files to numbers with the rater `signals`: `score_files` over all clips; best-of-N among as many candidates,
four at a time; a step of TRL, which is one call of the two reward functions of a weighted sum for as many completions.
Printed are milliseconds a clip (CPU and wall) and the peak memory of the process, each as minimum, median and maximum.
The rewards of both versions must agree to 1e-6, or it is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FIRST = 310_000  # seed of the first synthesized clip
ALLOWED = 1e-6  # difference of rewards
REPEATS = 3  # on the clock, in each process
TASKS = ("score_files", "best-of-N", "TRL step")
Found = dict[tuple[str, str, str], list[float]]
MEASURES = {"cpu": "CPU ms a clip", "wall": "wall ms a clip", "peak": "peak memory, MiB"}
WORKER = """
import json, sys, time
from avreward import BestOfN, Clip, load_rater, score_files

task, repeats, *paths = sys.argv[1:]
repeats = int(repeats)
rater = load_rater("signals")
reward = 0.4 * rater["audio_quality"] + 0.6 * rater["av_consistency"]
if task == "score_files":
    def run():
        return [row.rewards.values.item() for row in score_files(paths, reward)]
elif task == "best-of-N":
    def run():
        search = BestOfN(lambda condition, seed: Clip.open(paths[seed]), reward, len(paths), batch_size=4)
        found = search()
        return [candidate.reward for candidate in found.candidates]
else:
    from avreward.integrations.trl import trl_rewards
    functions, weights = trl_rewards(reward)
    def run():
        prompts, completions = [""] * len(paths), list(paths)
        parts = [function(prompts=prompts, completions=completions) for function in functions]
        return [sum(w * x for w, x in zip(weights, each)) for each in zip(*parts)]
run()
wall, cpu = [], []
for _ in range(repeats):
    began = time.perf_counter(), time.process_time()
    values = run()
    wall.append(1000 * (time.perf_counter() - began[0]) / len(paths))
    cpu.append(1000 * (time.process_time() - began[1]) / len(paths))
# VmHWM, not ru_maxrss: that one begins with what the parent process had
peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"wall": wall, "cpu": cpu, "peak": [peak], "values": values}))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier version")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    versions = {"before": options.before / "src", "after": Path(__file__).resolve().parent.parent / "src"}
    if not (versions["before"] / "avreward").is_dir():
        raise SystemExit(f"--before: {options.before} holds no src/avreward; give a checkout of the repository")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_clips(Path(folder), options.clips, options.seconds)
        found = measure(versions, paths, options.rounds)
    import av
    import torch

    print(
        f"torch {torch.__version__}, PyAV {av.__version__}, {os.cpu_count()} cores, {platform.machine()}; "
        f"{options.clips} clips of {options.seconds:g} s, {options.rounds} rounds\n"
    )
    print("\n".join(table(found)))


def make_clips(folder: Path, count: int, seconds: float) -> list[Path]:
    """Synthesized clips."""
    from avreward.datasets import scene

    paths = [folder / f"{k}.mp4" for k in range(count)]
    for k, path in enumerate(paths):
        scene(FIRST + k, seconds=seconds).clip.save(path)
    return paths


def measure(
    versions: Mapping[str, Path], paths: Sequence[Path], rounds: int
) -> dict[tuple[str, str, str], list[float]]:
    """(task, version, measure) → one number a round."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for turn in range(rounds):
        for task in TASKS:
            order = list(versions) if turn % 2 == 0 else list(versions)[::-1]
            results = {version: run(task, versions[version], paths) for version in order}
            values = [results[version].pop("values") for version in versions]
            worst = max(abs(a - b) for a, b in zip(*values, strict=True))
            if not worst <= ALLOWED:
                raise SystemExit(f"{task}: the rewards of the two versions differ by {worst:g}")
            for version, result in results.items():
                for name, numbers in result.items():
                    found.setdefault((task, version, name), []).extend(numbers)
    return found


def run(task: str, source: Path, paths: Sequence[Path]) -> dict:
    """One task in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER, task, str(REPEATS), *map(str, paths)]
    done = subprocess.run(command, env=environment, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{task} with {source}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def table(found: Found) -> list[str]:
    """Minimum / median / maximum, and the ratio of the medians."""
    lines = ["| task | measure | before: min / median / max | after: min / median / max | ratio of medians |"]
    lines.append("|:---|:---|---:|---:|---:|")
    for task in TASKS:
        for name, label in MEASURES.items():
            before, after = found[task, "before", name], found[task, "after", name]
            ratio = statistics.median(after) / statistics.median(before)
            lines.append(f"| {task} | {label} | {spread(before)} | {spread(after)} | {ratio:.2f} |")
    return lines


def spread(numbers: Sequence[float]) -> str:
    """Minimum / median / maximum."""
    return " / ".join(f"{f(numbers):.0f}" for f in (min, statistics.median, max))


if __name__ == "__main__":
    main()
