"""What `scale.py` measures of Ray: its actors beside plain processes, and a list of many tiny clips."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avreward import Clip
from avreward.scoring import read_table

RATE, SECONDS = 16000, 0.5
REWARD = "audio_quality"


def clip(number: int, broken: bool = False) -> Clip:
    """Return a tone with noise; a broken one is too short for a score."""
    noise = torch.Generator().manual_seed(number)
    length = 8 if broken else int(RATE * SECONDS)
    times = torch.arange(length) / RATE
    wave = 0.3 * torch.sin(2 * torch.pi * (200 + number % 50 * 20) * times)
    wave += 0.002 * (1 + number % 7) * torch.randn(length, generator=noise)
    return Clip(audio=wave[None], sample_rate=RATE)


def ray(files: int, rounds: int, small: int = 200) -> dict[str, Any]:
    """Seconds of two actors of Ray, and of two plain processes, for `files` clips beyond the first `small` ones."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tables = {}
        for count in (small, small + files):
            lines = [json.dumps({"clip": str(path)}) for path in sounds(folder / "sounds", count)]
            tables[count] = folder / f"{count}.jsonl"
            tables[count].write_text("\n".join(lines) + "\n")
        each = []
        for turn in range(rounds):
            kinds = (by_ray, by_processes) if turn % 2 == 0 else (by_processes, by_ray)
            took = {(kind, count): kind(table, folder) for count, table in tables.items() for kind in kinds}
            each.append(
                {
                    name: (*np.subtract(took[kind, small + files], took[kind, small]).tolist(), took[kind, small][0])
                    for kind, name in ((by_ray, "ray"), (by_processes, "plain"))
                }
            )
            print(f"round {turn + 1}: seconds, CPU seconds, start: {each[-1]}", flush=True)
        found: dict[str, Any] = {"files": files, "rounds": rounds}
        for name in ("ray", "plain"):
            wall, cpu, start = np.sum([one[name] for one in each], 0).tolist()
            found |= {f"{name}_seconds": wall, f"{name}_cpu": cpu, f"{name}_start": start / rounds}
        first, second = (read_table(folder / f"{name}.parquet").numbers("reward") for name in ("ray", "plain"))
        whole = len(first) == small + files and bool(np.isfinite(np.asarray(first)).all())
        found["equal"] = whole and bool(np.array_equal(first, second))
        found["ratio"] = found["plain_seconds"] / found["ray_seconds"]
        found["cpu_ratio"] = found["plain_cpu"] / found["ray_cpu"]
    return found


def sounds(folder: Path, count: int) -> list[Path]:
    """Write files of 125 ms and return their paths; those that are there stay."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number // 1000}" / f"{number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            short = clip(number)
            Clip(audio=short.sound()[:, : RATE // 8], sample_rate=RATE).save(path)
    return paths


def by_ray(table: Path, folder: Path) -> tuple[float, float]:
    """Score by two actors; return seconds of the clock and of the CPU."""
    return timed([[*SCORE, str(table), "--out", str(folder / "ray.parquet"), "--ray", "local", "--actors", "2"]])


def by_processes(table: Path, folder: Path) -> tuple[float, float]:
    """Score by two processes of their own; return seconds of the clock and of the CPU."""
    return timed([[*SCORE, str(table), "--out", str(folder / "plain.parquet")]] * 2, ranks=True)


SCORE = [sys.executable, "-m", "avreward", "score", "--reward", REWARD, "--no-store", "--quiet", "--isolate"]
MARK = "AVREWARD_SCALE_MARK"  # a variable of the environment by which all processes of a run are found
POLL = 0.2  # seconds


def timed(
    commands: list[list[str]], ranks: bool = False, watch: Callable[[int, Sequence[int]], None] | None = None
) -> tuple[float, float]:
    """Run commands at once; return seconds of the clock, and of the CPU in them and all processes that they start."""
    started, mark = time.monotonic(), f"{os.getpid()}-{time.time_ns()}"
    plain = os.environ | {"OMP_NUM_THREADS": "1", MARK: mark}
    running = [
        subprocess.Popen(one, env=plain | ({"RANK": str(rank), "WORLD_SIZE": str(len(commands))} if ranks else {}))
        for rank, one in enumerate(commands)
    ]
    known: dict[int, bool] = {}
    spent: dict[int, float] = {}
    while any(one.poll() is None for one in running):
        for place in Path("/proc").glob("[0-9]*"):
            number = int(place.name)
            try:
                if number not in known:
                    known[number] = f"{MARK}={mark}".encode() in (place / "environ").read_bytes().split(b"\0")
                if known[number]:
                    fields = (place / "stat").read_text().rpartition(")")[2].split()
                    spent[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except (OSError, IndexError):
                continue
        if watch is not None:
            with suppress(OSError):  # a process that has just ended
                watch(
                    running[0].pid,
                    [number for number, own in known.items() if own and Path(f"/proc/{number}").exists()],
                )
        time.sleep(POLL)
    if any(one.returncode for one in running):
        raise SystemExit(f"a command ended with {[one.returncode for one in running]}")
    return time.monotonic() - started, sum(spent.values())


def many(rows: int, files: int = 64, plain: int = 2000) -> dict[str, Any]:
    """Score a list of `rows` clips, which name few files of 10 ms, by two actors of which one is killed on the way."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(files):
            Clip(audio=torch.full((1, 80), (1 + number) / 100), sample_rate=8000).save(folder / f"{number}.wav")
        (folder / "level.py").write_text(LEVEL)
        tables = {}
        for count in (200, 200 + plain, rows):
            lines = (json.dumps({"clip": f"{row % files}.wav", "prompt": f"prompt {row}"}) for row in range(count))
            tables[count] = folder / f"list{count}.jsonl"
            tables[count].write_text("\n".join(lines) + "\n")
        score = [*SCORE[:4], "--rater", f"mine={folder / 'level.py'}:level", "--reward", "mine.level", "--no-store",
                 "--quiet", "--isolate"]  # fmt: skip
        spent = [
            timed([[*score, str(tables[n]), "--out", str(folder / f"plain{n}.parquet")]])[1] for n in (200, 200 + plain)
        ]
        watch = Watch()
        ray_score = [*score, str(tables[rows]), "--out", str(folder / "ray.parquet"), "--ray", "local", "--actors", "2"]
        wall, cpu = timed([ray_score], watch=watch)
        table = read_table(folder / "ray.parquet")
        one = read_table(folder / f"plain{200 + plain}.parquet").numbers("reward")[:files]
        expected = np.tile(one, rows // files + 1)[:rows]
        right = (np.asarray(table.numbers("reward")) == expected) & np.array(
            [text == f"prompt {row}" for row, text in enumerate(table.column("prompt").to_pylist())]
        )
        own = (spent[1] - spent[0]) / plain
        return {
            "rows": len(table), "wrong": int(rows - right.sum()), "killed": watch.killed, "seconds": wall,
            "cpu": cpu / rows * 1e3, "plain": own * 1e3, "over": (cpu / rows - own) * 1e3,
            **{f"memory at {name}": value for name, value in watch.memory().items()},
        }  # fmt: skip


LEVEL = """from avreward.raters import term


@term(needs="audio", low=0, high=1)
def level(clip):
    return clip.sound().abs().mean()
"""


class Watch:
    """Kill one actor of a run after a while, and look at the memory of its processes.

    Args:
        after: seconds from the start of the first actor until one is killed.
    """

    def __init__(self, after: float = 60.0) -> None:
        self.after, self.killed, self.seen = after, 0, 0.0
        self.looks: list[tuple[float, float]] = []  # megabytes of the command, and of the largest actor
        self._next = 0.0

    def __call__(self, command: int, processes: Sequence[int]) -> None:
        """Look at a run, every five seconds."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + 5
        actors = [one for one in processes if b"ray::MapWorker" in Path(f"/proc/{one}/cmdline").read_bytes()]
        if actors:
            self.seen = self.seen or now
            self.looks.append((megabytes(command), max(megabytes(one) for one in actors)))
            if not self.killed and now > self.seen + self.after:
                os.kill(actors[0], signal.SIGKILL)
                self.killed = 1

    def memory(self) -> dict[str, str]:
        """Megabytes of the command and of its largest actor after a tenth of the looks, a half, and at the end."""
        at = {
            name: self.looks[int(part * (len(self.looks) - 1))]
            for name, part in (("10 %", 0.1), ("50 %", 0.5), ("end", 1))
        }
        return {name: f"{own:.0f} + {actor:.0f}" for name, (own, actor) in at.items()}


def megabytes(process: int) -> float:
    """Memory of a process on Linux."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else float("nan")
