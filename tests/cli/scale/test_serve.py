"""`avreward serve`: in one process and in several, of which one is killed; SIGTERM answers what was admitted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from served import sound

from avreward import load_rater
from avreward.cli._common import USAGE
from avreward.raters import RemoteRater

SLOW = """
import time
from avreward.raters import term

@term(needs="audio", low=0, high=1)
def slow(clip):
    time.sleep(0.05)
    return clip.sound().abs().mean()
"""


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen, str]]:
    command = [sys.executable, "-m", "avreward", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        line = process.stderr.readline()
        yield process, re.search(r"http://\S+", line)[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0, process.stderr.read()
        assert "Traceback" not in process.stderr.read()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def test_wrong_input_is_one_line(run, tmp_path) -> None:
    for arguments, part in (
        (["no_such_score"], "no_such_score"), (["overall", "--root", tmp_path / "lost"], "lost"),
        (["overall", "--port", "70000"], "free port"),
    ):  # fmt: skip
        found = run("serve", *arguments)
        assert (found.exit_code, part in found.stderr) == (USAGE, True), found.stderr


@pytest.mark.slow
def test_a_reward_in_another_process_ends_softly(tmp_path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    with serving("slow.slow", "--rater", f"{tmp_path / 'slow.py'}:slow") as (process, url):
        rater = load_rater(url)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(RemoteRater(url, retries=0), [sound(i / 100) for i in range(8)])
            while b"clips 0.0" in rater._connection._pool.request("GET", url + "metrics").data.split(b"waiting_")[-1]:
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert asked.result()["reward"].tolist() == pytest.approx([i / 100 for i in range(8)])
        assert process.wait(240) == 0


def children(process: subprocess.Popen) -> list[int]:
    """Processes that serve: those that multiprocessing spawned to run their main."""
    found = []
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            found.append(int(child))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds child processes in /proc")
def test_a_process_that_is_killed_costs_no_request(tmp_path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    with serving("slow.slow", "--rater", f"{tmp_path / 'slow.py'}:slow", "--processes", "2") as (process, url):
        load_rater(url)
        levels = [i / 200 for i in range(160)]
        with ThreadPoolExecutor(8) as threads:
            raters = [RemoteRater(url) for _ in range(8)]
            asked = [threads.submit(raters[i % 8], [sound(level)]) for i, level in enumerate(levels)]
            asked[10].result()
            os.kill(children(process)[0], signal.SIGKILL)
            found = torch.cat([one.result()["reward"] for one in asked])
        assert found.tolist() == pytest.approx(levels)
        end = time.monotonic() + 240
        while len(children(process)) < 2:  # it is replaced
            assert time.monotonic() < end
            time.sleep(0.1)
