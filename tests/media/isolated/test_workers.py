"""Decoding in other processes: the same results, and a worker that crashes, hangs or eats memory costs one file."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from attacks.lies import ANSWERS, RAW
from media_files import write
from toy_raters import Toy

from avreward.clip import Clip
from avreward.errors import AvrewardError, MediaError
from avreward.media import AllFrames, FramePlan, Spread
from avreward.media._container import FileStamp
from avreward.media._isolated import workers as workers_module
from avreward.media._isolated.messages import Gone, Message
from avreward.media._isolated.workers import DecoderDied, Job, Workers, active, isolated, isolated_for
from avreward.media._keys import files
from avreward.scoring import Store, score_files


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """One pool for all tests: starting it imports torch."""
    pool = Workers(memory=1 << 30, modules=["attacks.bad_decoder"])
    yield pool
    pool.close()


@pytest.fixture
def isolating(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    with monkeypatch.context() as patch:
        patch.setattr(workers, "close", lambda: None)
        with isolated(workers):
            yield workers
    workers.died.clear()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("isolated") / "video.mp4", sound="aac")


def wav(path: Path, seconds: float = 0.2) -> Path:
    return write(path, codec=None, sound="pcm_s16le", seconds=seconds)


def content(message: Message) -> Any:
    return message.content


def number(message: Message) -> list[Any]:
    """What the one who asked `lie` expects."""
    if not isinstance(message.content, list):
        raise TypeError("no list")
    return message.content


def everything(path: Path) -> list[object]:
    files._known.clear()
    clip = Clip.open(path)
    shared = clip.decoded_once(lambda: [FramePlan(Spread(2))])
    rule = lambda times: torch.arange(2)  # noqa: E731  # which no other process can import
    tensors = [
        *clip.views([FramePlan(Spread(3), max_side=32), FramePlan(AllFrames(), crop=16), FramePlan(rule)]),
        *(clip.sound(), clip.sound(16000, 1), clip.spans([(0.0, 0.3)])[0]),
        *(shared.frames(FramePlan(Spread(2))), shared.sound(8000)),
    ]
    return [clip.height, dict(clip.keys), clip.ends, *(tensor.tolist() for tensor in tensors)]


def test_the_same_as_in_this_process(isolating: Workers, video: Path) -> None:
    found = everything(video)
    assert isolating._idle  # it was a worker who decoded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avreward.media._isolated.workers._active", [])
        assert active() is None
        assert everything(video) == found


def test_errors_of_files_are_the_same(isolating: Workers, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing" * 9)
    with pytest.raises(MediaError, match="not media"):
        Clip.open(tmp_path / "no.mp4")


@pytest.mark.parametrize(
    ("name", "problem"),
    [("crash", "its decoder ended (SIGSEGV)"), ("hang", "longer than 1 s"), ("eat", "more than 1024 MB of memory")],
)
def test_a_worker_that_fails_costs_its_file(
    isolating: Workers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, problem: str
) -> None:
    clip = Clip.open(wav(tmp_path / f"{name}.wav"))
    if name == "hang":
        monkeypatch.setattr(isolating, "seconds", 1.0)
        isolating._idle[-1].connection.settimeout(1.0)
    with pytest.raises(DecoderDied) as caught:
        clip.sound()
    assert problem in str(caught.value)
    with pytest.raises(DecoderDied):  # and is not tried again
        clip.sound()
    monkeypatch.undo()
    assert Clip.open(wav(tmp_path / "good.wav")).sound().shape == (2, 9600)


def test_nothing_is_unpickled_that_could_run_code(isolating: Workers, video: Path) -> None:
    with pytest.raises(DecoderDied, match="sent nonsense"):
        isolating.ask_once(FileStamp.of(video), "evil", read=content)


@pytest.mark.parametrize("how", [*RAW, *ANSWERS, "none", "closed"])
def test_nonsense_costs_its_file(isolating: Workers, video: Path, how: str) -> None:
    with pytest.raises((DecoderDied, MediaError)) as caught:
        isolating.ask_once(FileStamp.of(video), "lie", how, read=number)
    assert str(caught.value).startswith(f"{video}: ")
    isolating.died.clear()
    assert Clip.open(video).has_video
    assert not isolating._idle[-1].gone


def test_a_reader_that_stops_early_costs_a_worker_alone(isolating: Workers, video: Path) -> None:
    clip = Clip.open(video)
    next(clip._picture.images())  # type: ignore[union-attr]
    assert clip.sound().shape[0] == 2


def test_a_worker_that_somebody_ends_is_replaced(isolating: Workers, video: Path) -> None:
    for ending in (signal.SIGKILL, signal.SIGTERM):
        Clip.open(video)
        ended = isolating._idle[-1]
        os.kill(ended.pid, ending)
        assert select.select([ended.connection], [], [], 10)[0]
        assert Clip.open(video).has_video
        assert ended not in isolating._idle
    assert not isolating.died


@pytest.mark.parametrize("name", ["terminated", "killed"])
def test_a_file_is_not_blamed_for_what_others_end(isolating: Workers, tmp_path: Path, name: str) -> None:
    clip = Clip.open(wav(tmp_path / f"{name}.wav"))
    with pytest.raises(DecoderDied, match=rf"its decoder ended \(SIG{name[:4].upper()}\); try it again"):
        clip.sound()  # also the second worker
    assert not isolating.died


def test_a_worker_that_is_ended_once_is_asked_again(
    isolating: Workers, monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    Clip.open(video)
    answered = workers_module.receive

    def receive(connection: socket.socket) -> Message:
        monkeypatch.setattr(workers_module, "receive", answered)
        raise Gone

    monkeypatch.setattr(workers_module, "receive", receive)
    assert Clip.open(video).has_video
    assert not isolating.died


def test_the_process_that_forks_is_replaced(isolating: Workers, video: Path) -> None:
    Clip.open(video)
    process = isolating._nursery._process
    assert process is not None
    process.kill()
    process.wait()
    with pytest.raises(DecoderDied, match=r"SIGSEGV|unknown reason"):
        list(isolating.ask(FileStamp.of(video), Job("attacks.jobs", "dying", None), read=content))
    isolating.died.clear()
    assert Clip.open(video).has_video
    assert isolating._nursery._process not in (None, process)


def test_memory_that_earlier_files_took_is_not_held_against_a_file(
    isolating: Workers, video: Path, tmp_path: Path
) -> None:
    clip = Clip.open(wav(tmp_path / "eat.wav"))
    for worker in [isolating._take(), isolating._take()]:  # two that have served
        isolating._give_back(worker, keep=True)
    before = isolating._idle[-1]
    with pytest.raises(DecoderDied, match="more than 1024 MB"):
        clip.sound()
    assert before not in isolating._idle  # it was tried in a new one, too
    assert list(isolating.died) == [FileStamp.of(tmp_path / "eat.wav")]


def test_who_leaves_first_ends_nothing(video: Path) -> None:
    first, second = isolated_for([], True), isolated_for([], True)
    with ExitStack() as rest:
        with first as pool:
            assert rest.enter_context(second) is pool
            Clip.open(video)
        assert active() is pool
        assert Clip.open(video).sound().shape[0] == 2
        assert len(pool._idle) == 1  # type: ignore[attr-defined]
    assert active() is None
    assert not pool._nursery.running  # type: ignore[attr-defined]


def test_files_named_like_modules_are_not_run(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fractions", "queue", "numpy", "avreward"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    with isolated():
        assert Clip.open(video).has_video
    assert not (tmp_path / "ran").exists()


def test_a_run_goes_on_and_remembers(isolating: Workers, tmp_path: Path) -> None:
    names = ("good", "crash", "fine")  # of different content, or the score of one would be known from another
    files = [wav(tmp_path / f"{name}.wav", 0.1 * (i + 1)) for i, name in enumerate(names)]
    for path in files:
        os.utime(path, (1.6e9, 1.6e9))
    with Store(tmp_path / "store") as store:
        rows = list(score_files(files, Toy(), store=store, isolate=False))
    assert [row.error is None for row in rows] == [True, False, True]
    assert "SIGSEGV" in str(rows[1].error)
    with pytest.MonkeyPatch.context() as patch:  # a second run, which would decode in this process
        patch.setattr("avreward.media._isolated.workers._active", [])
        with Store(tmp_path / "store") as store:
            again = list(score_files(files, Toy(), store=store, isolate=False))
    assert [row.error is None for row in again] == [True, False, True]
    assert "in an earlier run" in str(again[1].error)


def test_many_files_are_isolated_unless_somebody_says_no() -> None:
    for listed, isolate, expected in (([1] * 33, None, True), ([1] * 32, None, False), ([1] * 33, False, False)):
        with isolated_for(listed, isolate):
            assert (active() is not None) is expected
    assert active() is None


def test_a_job_is_learnt_once_by_each_process(isolating: Workers, video: Path) -> None:
    stamp = FileStamp.of(video)

    def ask(start: int) -> list[int]:
        found: list[int] = isolating.ask_once(stamp, Job("attacks.jobs", "counting", start), 5, read=content)
        return found

    first, pid = ask(10)
    assert first == 10
    assert ask(10) == [15, pid]  # an equal job of another object: its state is kept
    assert ask(3) == [3, pid]
    os.kill(pid, signal.SIGKILL)
    again, other = ask(10)
    assert (again, other != pid) == (10, True)


def test_a_job_that_fails_is_told(isolating: Workers, video: Path) -> None:
    stamp = FileStamp.of(video)
    for _ in range(2):  # it isn't taken for learnt
        with pytest.raises(AvrewardError, match=r"video\.mp4: decoding it failed \(RuntimeError: no dogs\)"):
            list(isolating.ask(stamp, Job("attacks.jobs", "refusing", "dogs"), read=content))
    with pytest.raises(DecoderDied, match="SIGSEGV"):
        list(isolating.ask(stamp, Job("attacks.jobs", "dying", None), read=content))
    isolating.died.clear()
    with pytest.raises(AttributeError):
        Job("attacks.jobs", "counting", lambda: None)  # can't be pickled


def test_a_forked_process_decodes_in_workers_of_its_own(isolating: Workers, video: Path) -> None:
    expected = Clip.open(video).sound()
    theirs = [worker.pid for worker in isolating._idle]
    pid = os.fork()
    if pid == 0:  # as a process that loads batches
        found = Clip.open(video).sound()
        apart = active() is isolating and not {worker.pid for worker in isolating._idle} & set(theirs)
        Workers.close(isolating)
        os._exit(0 if apart and torch.equal(found, expected) else 1)
    assert torch.equal(Clip.open(video).sound(), expected)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 0
