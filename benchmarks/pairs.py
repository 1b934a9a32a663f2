"""A million scored clips to preference pairs: seconds, peak memory, and that the cost grows linearly.

    python benchmarks/pairs.py [--clips 100000 300000 1000000] [--repeats 3]

The scored tables are synthetic (seed 0): 8 candidates a prompt, 20 columns with scores, σ, covariates, keys and seeds,
as `avreward score --rater signals --reward …` writes them, and a reward that leaks loudness, motion, length and size.
No media are read. Each run is a fresh process that does what `avreward pairs TABLE --out FOLDER` does: reads the table,
makes pairs and writes the folder. Seconds are wall seconds of the work, without the start of Python, the smallest and
the largest of `--repeats` runs; memory is the process's peak (VmHWM of Linux), which includes Python and its
libraries. CPU seconds are those of all threads, of the run with the fewest; on a machine that is shared they say more
than wall seconds. The last column is CPU time a clip against that of the smallest table: 1 is linear, and less says
that what every run costs (imports, for one) is spread over more clips.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CANDIDATES = 8
SCORES = 20
CASES = {
    "best against worst, datasets": ({}, "datasets"),
    "best against worst, trl": ({}, "trl"),
    "all over a margin, conflicts dropped, 10 % test, datasets": (
        {"which": "all", "margin": 2.0, "dimensions": ["signals.d0"], "conflicts": "drop", "test": 0.1},
        "datasets",
    ),
    "all, 2 σ, matched on four, datasets": (
        {"which": "all", "sigmas": 2.0, "match": {"seconds": None, "loudness": None, "motion": None, "size": None}},
        "datasets",
    ),
}


def make_table(path: Path, clips: int) -> None:
    """Return a scored table of `clips` rows."""
    import pyarrow
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    row = np.arange(clips)
    prompt = row // CANDIDATES
    loud, motion = rng.normal(size=(2, clips))
    seconds, width = rng.choice([4.0, 5.0], clips), rng.choice([640, 832], clips)
    scores = rng.normal(50, 10, (SCORES, clips))
    reward = scores[0] / 10 + loud + 0.5 * motion + seconds + width / 200
    key = [f"{int(a):016x}{int(b):016x}" for a, b in rng.integers(0, 2**63, (clips, 2))]
    names = [f"a prompt, rather long, as people write them: number {p}" for p in range(prompt[-1] + 1)]
    prompts = pyarrow.DictionaryArray.from_arrays(prompt.astype(np.int32), pyarrow.array(names)).cast("string")
    reason = pyarrow.struct([("dimension", "string"), ("reason", "string")])
    columns = {
        "clip": [f"clips/{p // 1000:04d}/{i:08d}.mp4" for i, p in zip(row, prompt, strict=True)],
        "clip_key": key,
        "group": prompts,
        "prompt": prompts,
        **{f"signals.d{i}": column for i, column in enumerate(scores)},
        "reward": reward,
        "sigma": rng.uniform(0.1, 0.5, clips),
        "reasons": pyarrow.array([[]] * clips, pyarrow.list_(reason)),
        "seconds": seconds,
        "fps": np.full(clips, 24.0),
        "width": width.astype(np.int32),
        "height": (width * 9 // 16).astype(np.int32),
        "sample_rate": np.full(clips, 48000, dtype=np.int32),
        "loudness": -23 + 2 * loud,
        "motion": np.exp(motion),
        "seed": row % CANDIDATES,
        "fingerprint": pyarrow.array(["f" * 64] * clips),
    }  # fmt: skip
    table = pyarrow.table(columns)
    metadata = {b"avreward": json.dumps({"group_by": "prompt", "reward": "signals.d0"}).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd", row_group_size=65536)


def once(table: Path, case: str, out: Path) -> dict[str, float]:
    """Do what `avreward pairs` does; return seconds, pairs and peak memory."""
    from avreward.scoring import read_table
    from avreward.selection import PairRule, candidates_of, export_pairs, make_pairs

    options, form = CASES[case]
    began, worked = time.perf_counter(), time.process_time()
    found = export_pairs(make_pairs(candidates_of(read_table(table)), PairRule(**options)), out, form)
    took, cpu = time.perf_counter() - began, time.process_time() - worked
    return {"seconds": took, "cpu": cpu, "pairs": len(found), "gigabytes": peak()}


def peak() -> float:
    """Return the largest resident set of this process in GB; `ru_maxrss` would also count its parent's."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e9


def measured(table: Path, case: str, folder: Path, repeats: int) -> list[dict[str, float]]:
    """`once`, each time in a fresh process."""
    found = []
    for number in range(repeats):
        out = folder / f"out{number}"
        command = [sys.executable, __file__, "--once", str(table), case, str(out)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(result.stdout))
        shutil.rmtree(out)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--once", nargs=3, metavar=("TABLE", "CASE", "OUT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.once:
        table, case, out = chosen.once
        print(json.dumps(once(Path(table), case, Path(out))))
        return
    print("| pairs | clips | made | seconds | CPU seconds | peak memory, GB | CPU time a clip, relative |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        tables = {clips: Path(folder) / f"{clips}.parquet" for clips in sorted(chosen.clips)}
        for clips, table in tables.items():
            make_table(table, clips)
        for case in CASES:
            base = 0.0
            for clips, table in tables.items():
                runs = measured(table, case, Path(folder), chosen.repeats)
                seconds, memory = [run["seconds"] for run in runs], max(run["gigabytes"] for run in runs)
                cpu = min(run["cpu"] for run in runs)
                a_clip = cpu / clips
                base = base or a_clip
                span = f"{min(seconds):.1f}–{max(seconds):.1f}"
                counts = f"{clips} | {runs[0]['pairs']}"
                print(f"| {case} | {counts} | {span} | {cpu:.1f} | {memory:.2f} | {a_clip / base:.2f} |", flush=True)


if __name__ == "__main__":
    main()
