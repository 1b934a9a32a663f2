"""One run at a time for an output: who holds it is told, and what a killed run held is free."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from avreward._locks import OutputInUse, claimed
from avreward._whole_files import _sweep, whole_file, whole_folder
from avreward.scoring.table_writer import TableWriter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks")

HOLD = """
import sys, time
from pathlib import Path
from avreward._locks import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``out.csv``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out.csv")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_another_process_is_named_and_what_a_killed_one_held_is_free(holder, tmp_path):
    path = tmp_path / "out.csv"
    with (
        pytest.raises(OutputInUse, match=rf"out\.csv: process {holder.pid} on .* since 20.*; wait for it"),
        claimed(path),
    ):
        pass
    with pytest.raises(OutputInUse):
        TableWriter(path, ["a.b"], {})
    with claimed(tmp_path / "other.csv"):
        pass
    holder.kill()
    holder.wait()
    assert len(list(tmp_path.iterdir())) == 1  # its lock file
    with claimed(path):
        pass
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_swept_by_the_next_writer(holder, tmp_path):
    _sweep.cache_clear()
    with whole_file(tmp_path / "x.txt") as part:
        part.write_text("x")
    assert len(list(tmp_path.iterdir())) == 2  # held: it stays
    holder.kill()
    holder.wait()
    _sweep.cache_clear()
    with whole_file(tmp_path / "x.txt") as part:
        part.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_a_thread_may_claim_again_and_another_one_may_not(tmp_path):
    def other():
        with claimed(tmp_path / "x"):
            return True

    with ThreadPoolExecutor(1) as pool:
        with claimed(tmp_path / "x"):
            with claimed(tmp_path / "x"):
                pass
            with pytest.raises(OutputInUse, match=f"process {os.getpid()}"):
                pool.submit(other).result()
        assert pool.submit(other).result()


def test_who_waits_gets_it_and_two_never_hold_it(tmp_path):
    inside, most = [], []

    def work(_):
        with claimed(tmp_path / "x", wait=60):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.005)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert most == [1] * 24
    assert not list(tmp_path.iterdir())


def test_a_link_and_a_relative_path_are_the_same_output(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    failed = []

    def other():
        try:
            with claimed(tmp_path / "link" / "x"):
                pass
        except OutputInUse as error:
            failed.append(error)

    from pathlib import Path

    with claimed(Path("x")):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert failed


def test_where_no_lock_can_be_made_the_writer_says_what_is_wrong(tmp_path):
    with claimed(tmp_path / "missing" / "x.csv"):
        pass
    with pytest.raises(OSError, match="missing"), whole_file(tmp_path / "missing" / "x.csv"):
        pass


def test_an_error_ends_the_claim(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), whole_folder(tmp_path / "folder"):
            raise KeyError
        with pytest.raises(KeyError), TableWriter(tmp_path / "x.csv", ["a.b"], {}):
            raise KeyError
    assert not list(tmp_path.iterdir())
