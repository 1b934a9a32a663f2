"""Measures scoring past one process: the reward service, Ray, and what a killed process or broken clips cost.

    python benchmarks/scale.py [--parts throughput killed soak ray many] [--clips 800] [--requests 10000] [--clients 32]
                               [--soak 600] [--files 20000] [--rounds 2] [--rows 100000]
                               [--json out.json]

Clips are sounds, rated by `signals` (audio_quality): half a second in memory for the service, files of 125 ms for Ray.

1. throughput: direct calls of the reward on batches of 8, against the same clips asked one a request by many clients of
   one serving process, in five rounds that take turns. Seconds of the clock and of the CPU.
2. killed: requests against two serving processes, of which one is killed in the middle. One clip in a hundred is broken
   (a waveform that no rater can use): it must have a reason, every other clip the number that a direct call gives.
3. soak: requests for `--soak` seconds; the memory of the serving process after a tenth of the time, and at the end.
4. ray: `avreward score --ray local --actors 2` against two plain processes that share out the clips (RANK, WORLD_SIZE).
   A small table first, whose time is taken off: what remains is the time of the clips beyond it, summed over rounds
   that take turns. Both tables must be equal. All decode in processes of their own. CPU seconds are of all processes
   that a command starts, looked at five times a second.
5. many: a list of `--rows` clips, which name 64 files of 10 ms with different prompts, rated by a term that costs next
   to nothing: what Ray itself takes. Two actors, of which one is killed after a minute. Each row must have the score of
   its file and its own prompt. Megabytes are those of the command and of its largest actor.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scale_ray import REWARD, clip, many, megabytes, ray

from avreward import load_rater
from avreward.raters import RemoteRater

BATCH, BROKEN = 8, 100


@contextmanager
def serving(processes: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `avreward serve` and yield it with its address."""
    command = [sys.executable, "-m", "avreward", "serve", REWARD, "--port", "0", "--processes", str(processes)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stderr is not None
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found is not None
        load_rater(found[0])  # it has started
        yield server, found[0]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def throughput(count: int, clients: int, rounds: int = 5) -> dict[str, float]:
    """Clips a second of direct calls and of the service, seconds a request, and seconds of the CPU a clip."""
    clips = [clip(number) for number in range(count)]
    reward = load_rater("signals")[REWARD]
    seconds: list[float] = []
    direct = served = own = theirs = 0.0
    with torch.no_grad(), serving(1) as (server, url), ThreadPoolExecutor(clients) as threads:
        raters = threading.local()

        def ask(one: Any) -> None:
            raters.own = getattr(raters, "own", None) or RemoteRater(url)
            begun = time.monotonic()
            raters.own([one])
            seconds.append(time.monotonic() - begun)

        list(threads.map(ask, clips[: 2 * clients]))
        reward(clips[:BATCH])
        seconds.clear()
        for number in range(rounds):
            part = clips[number::rounds]
            started, cpu = time.monotonic(), time.process_time()
            for first in range(0, len(part), BATCH):
                reward(part[first : first + BATCH])
            direct, own = direct + time.monotonic() - started, own + time.process_time() - cpu
            started, cpu = time.monotonic(), cpu_seconds(server.pid)
            list(threads.map(ask, part))
            served, theirs = served + time.monotonic() - started, theirs + cpu_seconds(server.pid) - cpu
    p50, p99 = np.percentile(seconds, [50, 99])
    return {
        "direct": count / direct, "served": count / served, "ratio": direct / served, "p50": p50, "p99": p99,
        "cpu": own / count, "server_cpu": theirs / count, "cpu_ratio": own / theirs,
    }  # fmt: skip


def killed(count: int, clients: int) -> dict[str, int]:
    """Count requests that are lost or answered wrongly while a serving process is killed."""
    reward = load_rater("signals")[REWARD]
    kinds = 64  # different clips, so that their numbers are known from few direct calls
    with torch.no_grad():
        expected = [float(reward([clip(kind)])[0]) for kind in range(kinds)]
    lost = wrong = answered = 0
    with serving(2) as (server, url), ThreadPoolExecutor(clients) as threads:
        raters, done = threading.local(), threading.Semaphore(0)

        def ask(number: int) -> tuple[bool, float]:
            raters.own = getattr(raters, "own", None) or RemoteRater(url)
            found = raters.own([clip(number % kinds, number % BROKEN == 0)])
            done.release()
            return bool(found.present[0, 0]), float(found.values[0, 0])

        asked = [threads.submit(ask, number) for number in range(count)]
        for _ in range(count // 2):
            done.acquire()
        os.kill(serving_processes(server)[0], signal.SIGKILL)
        for number, one in enumerate(asked):
            try:
                there, value = one.result()
            except Exception:
                lost += 1
                continue
            answered += 1
            broken = number % BROKEN == 0
            wrong += there if broken else not there or value != expected[number % kinds]
    return {"requests": count, "answered": answered, "lost": lost, "wrong": wrong}


def soak(seconds: float, clients: int) -> dict[str, float]:
    """Megabytes of the serving process after a tenth of the time and at the end, and the requests between."""
    clips = [clip(number) for number in range(64)]
    with serving(1) as (server, url), ThreadPoolExecutor(clients) as threads:
        end, count = time.monotonic() + seconds, 0

        def ask(worker: int) -> int:
            rater, asked = RemoteRater(url), 0
            while time.monotonic() < end:
                rater([clips[(worker + asked) % len(clips)]])
                asked += 1
            return asked

        running = [threads.submit(ask, worker) for worker in range(clients)]
        time.sleep(seconds / 10)
        before = megabytes(server.pid)
        count = sum(one.result() for one in running)
        after = megabytes(server.pid)
    return {"seconds": seconds, "requests": count, "before": before, "after": after}


def cpu_seconds(process: int) -> float:
    """Seconds of the CPU that a process and its children have used, on Linux."""
    ticks = 0
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    for one in (str(process), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def serving_processes(server: subprocess.Popen[str]) -> list[int]:
    """Process ids of the processes that serve."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


HEADS = {
    "throughput": "direct, clips/s | served, clips/s | ratio | p50, s | p99, s | CPU s a clip | server's | CPU ratio",
    "killed": "requests | answered | lost | wrong",
    "soak": "seconds | requests | MB before | MB after",
    "ray": "files | rounds | Ray, s | its CPU, s | its start, s | plain, s | its CPU, s | its start, s | equal tables "
    "| ratio | CPU ratio",
    "many": "rows | wrong | actors killed | seconds | CPU ms a row | without Ray | difference | MB at 10 % | at 50 % | "
    "at the end",
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--clips", type=int, default=800, help="for the throughput")
    parser.add_argument("--requests", type=int, default=10000, help="while a process is killed")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--soak", type=float, default=600.0, help="seconds")
    parser.add_argument("--files", type=int, default=20000, help="for Ray")
    parser.add_argument("--rows", type=int, default=100_000, help="of many tiny clips")
    parser.add_argument("--rounds", type=int, default=2, help="of Ray and plain processes, which take turns")
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measure = {
        "throughput": lambda: throughput(arguments.clips, arguments.clients),
        "killed": lambda: killed(arguments.requests, arguments.clients),
        "soak": lambda: soak(arguments.soak, arguments.clients),
        "ray": lambda: ray(arguments.files, arguments.rounds),
        "many": lambda: many(arguments.rows),
    }
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(f"{found['cores']} cores, load average {found['load']:.1f} at the start")
    for part in arguments.parts:
        found[part] = measure[part]()
        print(f"\n| {HEADS[part]} |\n|{'---|' * (HEADS[part].count('|') + 1)}")
        shown = (str(one) if isinstance(one, bool | int | str) else f"{one:.3g}" for one in found[part].values())
        print(f"| {' | '.join(shown)} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
