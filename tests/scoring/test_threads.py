"""The two-stage pipeline: order, bounds, failures, an early end."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avreward.scoring._threads import AHEAD, Stages, _StageThreads


def threads() -> int:
    return threading.active_count()


def negate(batch: Sequence[int]) -> list[int]:
    return [-n for n in batch]


@settings(max_examples=40)
@given(st.integers(0, 90), *[st.integers(1, 5)] * 4)
def test_order_is_kept(count: int, loaders: int, workers: int, waiting: int, batch: int) -> None:
    def load(n: int) -> int:
        time.sleep(0.0003 * (n % 3))
        return n

    before = threads()
    stages = Stages(load, negate, loaders, workers, waiting, batch)
    assert list(stages.run(range(count))) == [-n for n in range(count)]
    assert threads() == before


@pytest.mark.parametrize(("waiting", "batch", "workers"), [(1, 1, 1), (3, 1, 2), (2, 4, 1)])
def test_what_is_loaded_is_bounded(waiting: int, batch: int, workers: int) -> None:
    lock, alive, most = threading.Lock(), 0, 0

    def load(n: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return n

    def work(numbers: Sequence[int]) -> Sequence[int]:
        nonlocal alive
        time.sleep(0.001)
        with lock:
            alive -= len(numbers)
        return numbers

    assert len(list(Stages(load, work, 4, workers, waiting, batch).run(range(60)))) == 60
    assert most <= waiting + batch * workers


def test_a_slow_head_holds_up_no_more_than_it_must() -> None:
    drawn = []
    release = threading.Event()

    def items() -> Iterator[int]:
        for n in range(500):
            drawn.append(n)
            if n == AHEAD:
                release.set()
            yield n

    def load(n: int) -> int:
        if n == 0:
            assert release.wait(10)
        return n

    run = Stages(load, negate, 2, 1, 2, 1).run(items())
    assert next(run) == 0
    assert AHEAD < len(drawn) <= AHEAD + 4
    run.close()


def test_a_result_does_not_wait_for_the_next_item(monkeypatch) -> None:
    given, finished = [], threading.Event()
    finish = _StageThreads.finish

    def told(self, indices: Sequence[int], *arguments: object, **named: int) -> None:
        finish(self, indices, *arguments, **named)
        finished.set()

    monkeypatch.setattr(_StageThreads, "finish", told)

    def items() -> Iterator[int]:
        yield 1
        assert finished.wait(60)
        yield 2
        assert given == [-1]
        yield 3

    for n in Stages(lambda n: n, negate).run(items()):
        given.append(n)
    assert given == [-1, -2, -3]


def test_batches_fill_while_more_is_on_its_way_and_never_wait_for_what_is_not() -> None:
    sizes, drawn = [], threading.Event()

    def items() -> Iterator[int]:
        yield from range(21)
        drawn.set()  # each of them is on its way before the first is loaded

    def load(n: int) -> int:
        assert drawn.wait(60)
        return n

    def work(numbers: Sequence[int]) -> Sequence[int]:
        sizes.append(len(numbers))
        return numbers

    assert list(Stages(load, work, 2, 1, 3, 4).run(items())) == list(range(21))
    assert sizes == [4, 4, 4, 4, 4, 1]
    run = Stages(lambda n: n, work, 1, 1, 1, 4).run(iter([1, 2, 3]))  # fewer than a batch
    assert list(run) == [1, 2, 3]


@pytest.mark.parametrize("stage", ["load", "work", "items"])
def test_a_failure_is_raised_in_its_turn(stage: str) -> None:
    def fail(here: str, n: int) -> int:
        if stage == here and n == 7:
            raise LookupError("seven")
        return n

    def items() -> Iterator[int]:
        for n in range(50):
            yield fail("items", n)

    before = threads()
    stages = Stages(lambda n: fail("load", n), lambda batch: [fail("work", n) for n in batch], 2, 2, 3)
    run = stages.run(items())
    got = [next(run) for _ in range(7)]
    with pytest.raises(LookupError, match="seven"):
        list(run)
    assert got == list(range(7))
    assert threads() == before


@pytest.mark.parametrize("broken", ["enter", "count"])
def test_a_broken_stage_never_hangs(broken: str) -> None:
    def enter(works: bool) -> None:
        if broken == "enter" and works:
            raise RuntimeError("no thread")

    stages = Stages(lambda n: n, lambda batch: [] if broken == "count" else batch, enter=enter)
    with pytest.raises((RuntimeError, ValueError)):
        list(stages.run(range(9)))


@pytest.mark.parametrize("how", ["close", "forget", "cycle"])
def test_an_early_end_stops_the_threads(how: str) -> None:
    loaded = []

    def load(n: int) -> int:
        loaded.append(n)
        time.sleep(0.02)
        return n

    before = threads()
    run = Stages(load, negate, 2, 2, 4).run(range(10_000))
    assert next(run) == 0
    if how == "close":
        run.close()
    elif how == "cycle":
        ring: list[object] = [run]
        ring.append(ring)
        del ring
    del run
    gc.collect()
    assert threads() == before
    assert len(loaded) < 60


def test_an_open_iterator_does_not_keep_python_alive() -> None:
    code = (
        "import atexit, threading, time\n"
        "atexit.register(lambda: print(threading.active_count()))\n"
        "from avreward.scoring._threads import Stages\n"
        "run = Stages(lambda n: time.sleep(0.01) or n, lambda b: b, 2, 2, 4).run(range(10_000))\n"
        "print(next(run))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n1\n", "")


def test_an_interrupt_ends_the_run() -> None:
    code = (
        "import signal, threading, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start background jobs deaf to it\n"
        "from avreward.scoring._threads import Stages\n"
        "try:\n"
        "    stages = Stages(lambda n: time.sleep(0.01 if n < 9 else 1) or n, lambda b: b, 2, 2, 4)\n"
        "    for n in stages.run(range(10_000)):\n"
        "        print(n, flush=True)\n"
        "except KeyboardInterrupt:\n"
        "    print(threading.active_count(), 'threads')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "8\n":
            pass
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "1 threads\n"
        assert process.wait(60) == 0  # not the hours that the other items would take
