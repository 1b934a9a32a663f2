"""Scoring many files: order, bad files, shared work, threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_raters import Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.raters.base import Sample, Track, Work
from avreward.raters.scores import Scores
from avreward.rewards.base import Rewards
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.run import score_files
from avreward.scoring.store.store import Store

LEVELS = [0.1, 0.4, 0.2, 0.3, 0.25]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"{i}.wav" for i in range(len(LEVELS))]
    for path, level in zip(paths, LEVELS, strict=True):
        sound(level, samples=1600).save(path)
    return paths


@pytest.mark.parametrize("per_clip", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_come_in_order_and_equal_the_direct_call(files: list[Path], per_clip: bool, threads: int) -> None:
    toy = Toy(per_clip=per_clip)
    reward = 2 * toy["power"] - 1
    rows = list(score_files(files, reward, decode_threads=threads, compute_threads=threads, prefetch=2, batch_size=2))
    assert [row.path for row in rows] == files
    assert [row.error for row in rows] == [None] * len(files)
    rewards = Rewards.concatenate([row.rewards for row in rows if row.rewards])
    assert max(toy.calls) <= (1 if per_clip else 2)
    direct = reward.evaluate([Clip.open(path) for path in files])
    assert torch.allclose(rewards.values, direct.values, rtol=1e-6)
    assert torch.allclose(rewards.values.double(), 2 * torch.tensor(LEVELS).double() - 1, atol=1e-3)
    assert all(row.clip is not None and row.scores["toy"].present[0, 0] for row in rows)


def test_a_bare_rater_gives_scores_only(files: list[Path]) -> None:
    (row, *_) = score_files(map(str, files), Toy())
    assert row.rewards is None
    assert row.scores["toy"]["power"].item() == pytest.approx(LEVELS[0], abs=1e-3)
    assert row.path == files[0]


def test_a_bad_file_is_one_row(files: list[Path], tmp_path: Path) -> None:
    broken, absent = tmp_path / "broken.mp4", tmp_path / "absent.mp4"
    broken.write_bytes(b"not a video" * 100)
    first, second = Toy("first"), Toy("second")
    reward = first["power"] + second["peak"]
    rows = list(score_files([files[0], broken, absent, files[1]], reward))
    assert [row.error is None for row in rows] == [True, False, False, True]
    for row, path in zip(rows[1:3], (broken, absent), strict=True):
        assert path.name in str(row.error)
        assert row.path == path
        assert row.clip is None
        assert row.rewards is not None
        assert row.rewards.reasons == [row.error]
        assert not row.rewards.present.any()
        assert not row.scores["first"].present.any()
    whole = Rewards.concatenate([row.rewards for row in rows if row.rewards])
    assert whole.present.tolist() == [True, False, False, True]


class Unreadable(Toy):
    """Fails to decode some tracks of some clips, as a damaged file does."""

    damaged: frozenset[tuple[str, Track]] = frozenset()

    def load_track(self, clip: Clip, track: Track) -> Any:
        if (clip.texts.get("id", ""), track) in self.damaged:
            raise MediaError("clip", f"the {track} is damaged", "write it again")
        return super().load_track(clip, track)


def test_a_file_that_opens_but_does_not_decode() -> None:
    clips = [
        both(0.5, 0.5).with_prompt("p", texts={"id": "half"}),
        both(0.25, 0.25).with_prompt("p", texts={"id": "none"}),
        picture(0.5),  # silent, but not damaged
    ]
    rater = Unreadable()
    rater.damaged = frozenset({("half", "audio"), ("none", "audio"), ("none", "video")})
    half, none, silent = score_files(clips, rater["power"])
    for bad in (half, none):  # a clip is never judged in part: without its damaged track it might look better
        assert bad.error is not None
        assert "is damaged" in bad.error
        assert bad.rewards is not None
        assert not bool(bad.rewards.present)
        assert not bool(bad.scores["toy"].present.any())
    assert none.clip is clips[1]
    assert silent.error is None


@pytest.mark.parametrize("kept", [True, False])
def test_damage_that_another_rater_meets_costs_no_score(tmp_path: Path, kept: bool) -> None:
    class Ear(Unreadable):
        tracks = ("audio",)
        damaged = frozenset({("half", "audio")})

    ear, eye, clip = Ear("ear"), Toy("eye"), both(0.5, 0.25).with_prompt("p", texts={"id": "half"})
    evaluator = Evaluator([eye, ear], store=Store(tmp_path / "s") if kept else None)
    for _ in range(2):  # the second time from the store
        (row,) = evaluator.stream([clip])
        for scores, streamed in zip(evaluator.evaluate([clip]), row.scores.values(), strict=True):
            torch.testing.assert_close(scores.values, streamed.values, rtol=0, atol=0, equal_nan=True)
            assert scores.reasons == streamed.reasons
        assert row.scores["eye"]["power"].item() == pytest.approx(0.5)
        assert set(row.scores["ear"].reasons[0].values()) == {"clip: the audio is damaged; write it again"}
        assert row.error is None
    (row,) = score_files([clip], ear["power"] + eye["power"])
    assert row.rewards is not None
    assert row.rewards.reasons == ["ear.power: clip: the audio is damaged; write it again"]


def test_a_bug_is_raised(files: list[Path]) -> None:
    class Buggy(Toy):
        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        list(score_files(files, Buggy()))


def test_shared_tracks_are_decoded_once() -> None:
    film = picture(0.5)
    dubs = [film.with_audio(sound(level).sound(), sample_rate=16000) for level in LEVELS]
    toy = Toy()
    rows = list(score_files(dubs, toy["overall"], decode_threads=3))
    assert [track for track, _ in toy.loads].count("video") == 1
    assert [track for track, _ in toy.loads].count("audio") == len(dubs)
    assert [row.path for row in rows] == [None] * len(dubs)


def test_no_graph_is_kept() -> None:
    graphs = []

    class Asking(Toy):
        def load_track(self, clip: Clip, track: Track) -> Any:
            graphs.append(torch.is_grad_enabled())
            return super().load_track(clip, track)

    audio = torch.full((1, 64), 0.5, requires_grad=True)
    (row,) = score_files([Clip(audio=audio, sample_rate=16000)], Asking()["power"])
    assert row.rewards is not None
    assert not row.rewards.values.requires_grad
    assert graphs == [False]


def test_a_track_that_a_rater_does_not_ask_for() -> None:
    class Ear(Toy):
        tracks = ("audio",)

    clip = picture(0.5)
    (row,) = score_files([clip], Ear()["power"])
    assert row.error is None  # nothing is wrong with the clip
    assert row.rewards is not None
    assert row.rewards.reasons == [f"toy.power: {clip.missing['audio']}"]


@pytest.mark.parametrize("per_clip", [True, False])
def test_torch_threads(per_clip: bool) -> None:
    """Judges that stand side by side use one core each; nobody else's setting changes."""
    inside: dict[str, set[int]] = {"load": set(), "rate": set()}

    class Asking(Toy):
        def load_track(self, clip: Clip, track: Track) -> Any:
            inside["load"].add(torch.get_num_threads())
            return super().load_track(clip, track)

        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            inside["rate"].add(torch.get_num_threads())
            return super().rate(samples, work)

    def elsewhere() -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return found[0]

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in score_files([sound(level) for level in LEVELS], Asking(per_clip=per_clip), decode_threads=2):
            assert (torch.get_num_threads(), elsewhere()) == (3, 3)
        assert (torch.get_num_threads(), elsewhere()) == (3, 3)
    finally:
        torch.set_num_threads(before)
    assert inside == {"load": {1}, "rate": {1} if per_clip else {3}}


@pytest.mark.parametrize("threads", [1, 4])
def test_stages_overlap_and_judges_stand_side_by_side(threads: int) -> None:
    """Each waits for the other: as many loads at once as threads, then as many ratings; a load during a rating."""
    lock, now, most, begun = threading.Lock(), Counter(), Counter(), Counter()
    together = {what: threading.Barrier(threads) for what in ("load", "rate")}
    running = {what: threading.Event() for what in ("load", "rate")}
    meeting = {"load": threads, "rate": 0}  # the one load and the one rating that are to overlap

    @contextmanager
    def busy(what: str) -> Iterator[None]:
        with lock:
            number, begun[what] = begun[what], begun[what] + 1
            now[what] += 1
            most[what] = max(most[what], now[what])
        if number == meeting[what]:
            running[what].set()
            assert running["rate" if what == "load" else "load"].wait(60)
        if number < threads:
            together[what].wait(60)
        yield
        with lock:
            now[what] -= 1

    class Slow(Toy):
        def load_track(self, clip: Clip, track: Track) -> Any:
            with busy("load"):
                return super().load_track(clip, track)

        def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
            with busy("rate"):
                return super().rate(samples, work)

    rater, clips = Slow(), [sound(0.01 * n) for n in range(1, 41)]
    assert len(list(score_files(clips, rater, decode_threads=threads, compute_threads=threads))) == 40
    assert len(rater.threads) == threads
    assert most == {"load": threads, "rate": threads}


def test_an_early_end(files: list[Path]) -> None:
    def endless() -> Iterator[Path]:
        while True:
            yield from files

    before = set(threading.enumerate())
    for number, _ in enumerate(score_files(endless(), Toy()["power"])):
        if number == 3:
            break
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("name", ["decode_threads", "compute_threads", "prefetch", "batch_size"])
def test_counts_are_positive(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{name}: expected a positive integer, got 0; leave it out for"):
        score_files([], Toy(per_clip=name != "batch_size"), **{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("single", ["a.mp4", Path("a.mp4")])
def test_one_file_is_no_list(single: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^files: expected several paths or clips, got a single .*; pass a list"):
        score_files(single, Toy())


def test_no_files() -> None:
    assert list(score_files([], Toy()["power"])) == []


class Unsure(Toy):
    """Says how uncertain it is."""

    def rate(self, samples, work=None):
        scores = super().rate(samples, work)
        scores.sigma = scores.values / 10
        return scores


@pytest.mark.parametrize("per_clip", [True, False])
def test_how_uncertain_scores_are_is_kept(per_clip):
    clips = [sound(0.5), sound(0.25)]
    scored = list(score_files(clips, 2 * Unsure(per_clip=per_clip)["power"]))
    assert [s.scores["toy"].sigma[0, 0].item() for s in scored] == pytest.approx([0.05, 0.025])
    assert [s.rewards.sigma.item() for s in scored] == pytest.approx([0.1, 0.05])


@pytest.mark.parametrize(("also", "got"), [(Toy(), "the rater toy"), ("signals", "'signals'"), (["signals"], ".'sig")])
def test_more_raters_come_in_a_list(also: Any, got: str) -> None:
    with pytest.raises(ArgumentError, match=f"also: expected a list of raters, got {got}"):
        score_files([], Toy(), also=also)
