"""Processes that are killed while they write: what they had written stays, and nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_raters import Toy, sound

from avreward.clip import Clip
from avreward.scoring.store.store import Store

KILLS, BATCH = 25, 20

# Imports take seconds, so one process has them and forks a writer for each line that it is sent. A writer says which
# batch it begins and which one it has written, by single writes that a kill can't cut.
WRITERS = """
import os, sys, random
sys.path[:0] = {path!r}
from toy_raters import Toy
from test_kill import clips_of
from avreward.scoring.store.store import Store
for line in sys.stdin:
    if os.fork() == 0:
        writer, store, toy = int(line), Store({store!r}), Toy()
        os.write(1, f"pid {{os.getpid()}}\\n".encode())
        for batch in range(1000):
            clips = clips_of(writer, batch)
            scores = toy(clips)
            os.write(1, f"begun {{batch}}\\n".encode())
            store.put(toy, clips, scores)
            os.write(1, f"written {{batch}}\\n".encode())
            if {compact} and batch % 5 == 4:
                store.compact()
        os._exit(0)
    os.wait()
    os.write(1, b"dead\\n")
"""


def clips_of(writer: int, batch: int) -> list[Clip]:
    """Each batch of each writer has clips of its own."""
    first = (writer * 1000 + batch) * BATCH
    return [sound(1e-6 * (first + i), samples=4) for i in range(1, BATCH + 1)]


@pytest.mark.parametrize("compact", [pytest.param(False, marks=pytest.mark.slow), True])
def test_killed_while_writing(tmp_path: Path, compact: bool) -> None:
    rng, toy, folder = random.Random(3), Toy(), tmp_path / "s"
    code = WRITERS.format(path=[str(Path(__file__).parent), *sys.path], store=str(folder), compact=compact)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    kept: dict[tuple[int, int], bool] = {}  # (writer, batch) → whether all of it was there
    with process, Store(folder) as store:
        for writer in range(KILLS):
            process.stdin.write(f"{writer}\n")
            process.stdin.flush()
            pid = int(process.stdout.readline().split()[1])
            said: list[list[str]] = []
            for _ in range(rng.choice([0, 1, 2, 4, 11])):  # within the first batch, which makes the file, or later
                said.append(process.stdout.readline().split())
            time.sleep(rng.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            said += [line.split() for line in iter(process.stdout.readline, "dead\n")]
            written = {int(batch) for word, batch in said if word == "written"}
            begun = {int(batch) for word, batch in said if word == "begun"}
            for batch in sorted(begun):
                rows = store.get(toy, clips_of(writer, batch))
                there = [row is not None for row in rows]
                assert all(there) or (batch == max(begun) and not any(there)), (batch, there)
                assert all(there) or batch not in written
                kept[writer, batch] = all(there)
        process.stdin.close()
        assert store.damaged == {}
        assert len(store) == BATCH * sum(kept.values())
        store.compact()
        assert len(store) == BATCH * sum(kept.values())
        for (writer, batch), there in kept.items():
            clips = clips_of(writer, batch)
            for row, expected in zip(store.get(toy, clips), toy(clips).split(), strict=True):
                assert (row is not None) == there
                assert row is None or row["power"].equal(expected["power"])
    files = list(folder.glob("*.sqlite"))
    for path in files:
        assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert sum(kept.values()) > KILLS / 2  # else they were killed too early to say anything
    assert any(not there for there in kept.values())  # or too late
