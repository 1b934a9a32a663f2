"""The evaluator: what it gives back, what it shares, keeps and lets go, and what a failure costs."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_raters import Toy, both, picture, sound

import avreward
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.raters._loop import BATCH
from avreward.raters.base import Sample, Track
from avreward.raters.clip_rater import ClipRater
from avreward.raters.scores import Dimension, Scores
from avreward.rewards.results import Rewards
from avreward.scoring._torch_threads import cores
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.run import score_files
from avreward.scoring.store.store import Store

LEVELS = [0.1, 0.4, 0.2, 0.3, 0.25]


class Fragile(Toy):
    """Raises for sounds of some powers."""

    bad: tuple[float, ...] = (0.2,)

    def row(self, sample: Sample) -> Any:
        found = super().row(sample)
        if any(abs(float(found[0]["power"]) - level) < 1e-3 for level in self.bad):
            raise RuntimeError(f"{self.name} fell over")
        return found


class Loudness(ClipRater):
    name, fingerprint, dimensions = "loudness", "loudness 1", (Dimension("loudness", 0, 1, frozenset({"audio"})),)

    def rate_clip(self, clip: Clip) -> dict[str, torch.Tensor]:
        return {"loudness": clip.sound().amax()}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.wav" for i in range(len(LEVELS))]
    for path, level in zip(paths, LEVELS, strict=True):
        sound(level, samples=1600).save(path)
        os.utime(path, (1e9, 1e9))
    return paths


def clips() -> list[Clip]:
    return [sound(level) for level in LEVELS]


def test_what_is_given_decides_what_comes_back() -> None:
    toy = Toy()
    assert Evaluator(toy).evaluate(clips())["power"].tolist() == pytest.approx(LEVELS)
    assert Evaluator(2 * toy["power"]).evaluate(clips()).values.tolist() == pytest.approx([2 * x for x in LEVELS])
    rewards, scores = Evaluator([2 * toy["power"], toy]).evaluate(clips())
    assert isinstance(rewards, Rewards)
    torch.testing.assert_close(rewards.values, 2 * scores["power"])
    assert avreward.Evaluator is Evaluator


def test_a_rater_that_several_rewards_read_rates_once() -> None:
    toy = Toy(per_clip=False)
    Evaluator([toy["power"], 3 * toy["peak"], toy]).evaluate(clips())
    assert toy.calls == [len(LEVELS)]
    assert len(toy.loads) == len(LEVELS)


def test_two_raters_of_one_name_are_kept_apart(files: list[Path]) -> None:
    first, second = Toy(), Fragile()
    second.fingerprint = "other"
    one, other = Evaluator([first["power"], second["power"]]).evaluate(clips())
    assert (one.present.sum(), other.present.sum()) == (5, 4)
    with pytest.raises(ArgumentError, match=r"^targets: expected .*, got two different raters called 'toy'; set "):
        Evaluator([first, second]).stream(files)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("kept", [True, False])
def test_batches_and_stores_change_no_score(tmp_path: Path, batch_size: int, kept: bool) -> None:
    reward = 2 * Toy(per_clip=False)["overall"] - Toy("other")["peak"]
    mixed = [both(0.5, 0.2), sound(0.3), picture(0.1), both(0.1, 0.9)]
    direct = reward.evaluate(mixed)
    evaluator = Evaluator(reward, batch_size=batch_size, store=Store(tmp_path / "s") if kept else None)
    for _ in range(2):
        found = evaluator.evaluate(mixed)
        torch.testing.assert_close(found.values, direct.values, rtol=0, atol=0, equal_nan=True)
        assert (found.reasons, found.basis) == (direct.reasons, direct.basis)
    streamed = Rewards.concatenate([row.rewards for row in evaluator.stream(mixed) if row.rewards])
    torch.testing.assert_close(streamed.values, direct.values, rtol=0, atol=0, equal_nan=True)


def test_work_is_shared_over_calls_until_it_is_forgotten() -> None:
    toy, evaluator = Toy(), None
    evaluator = Evaluator(toy["overall"])
    film = picture(0.5)
    for level in LEVELS:
        evaluator.evaluate([film.with_audio(sound(level).sound(), sample_rate=16000)])
    assert [track for track, _ in toy.loads].count("video") == 1
    evaluator.forget()
    evaluator.evaluate([film.with_audio(sound(0.1).sound(), sample_rate=16000)])
    assert [track for track, _ in toy.loads].count("video") == 2


def test_no_gradients() -> None:
    wave = torch.full((1, 64), 0.5, requires_grad=True)
    assert not Evaluator(Toy()["power"]).evaluate([Clip(audio=wave, sample_rate=16000)]).values.requires_grad


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_clip_at_fault_costs_itself(files: list[Path], tmp_path: Path, batch_size: int) -> None:
    first, fragile = Toy("first"), Fragile("second", per_clip=False)
    store = Store(tmp_path / "s")
    for target in (first["power"] + fragile["power"], [first["power"] + fragile["power"]]):
        evaluator = Evaluator(target, batch_size=batch_size, store=store)
        found = evaluator.evaluate([Clip.open(path) for path in files])
        rewards = found if isinstance(found, Rewards) else found[0]
        assert rewards.present.tolist() == [True, True, False, True, True]
        assert rewards.reasons[2] == "second.power: the rater failed: RuntimeError: second fell over"
        assert rewards.scores["first"].present[:, 0].all()
    assert len(store) == 9  # nothing is kept of what failed, so that it is tried again
    rows = list(evaluator.stream(files))
    assert [row.path for row in rows] == files
    assert [row.error for row in rows] == [None] * 5
    assert [row.known for row in rows] == [True, True, False, True, True]
    assert rows[2].rewards is not None
    assert rows[2].rewards.reasons == ["second.power: the rater failed: RuntimeError: second fell over"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_broken_rater_raises(files: list[Path], tmp_path: Path, kept: bool) -> None:
    fragile = Fragile(per_clip=False)
    fragile.bad = tuple(LEVELS)
    evaluator = Evaluator(fragile["power"] + Toy("sound")["power"], store=Store(tmp_path / "s") if kept else None)
    opened = [Clip.open(path) for path in files]
    with pytest.raises(RuntimeError, match="toy fell over"):
        evaluator.evaluate(opened)
    with pytest.raises(RuntimeError, match="toy fell over"):
        list(evaluator.stream(files))
    lenient = evaluator.evaluate(opened, strict=False)
    assert not lenient.present.any()
    assert lenient.scores["sound"].present[:, 0].all()


@pytest.mark.parametrize("per_clip", [True, False])
def test_bad_clips_that_stand_first_wait_for_a_good_one(per_clip: bool) -> None:
    fragile = Fragile(per_clip=per_clip)
    rows = list(Evaluator(fragile).stream([sound(0.2)] * (BATCH - 1) + [sound(0.5)]))
    assert [bool(row.scores["toy"].present.any()) for row in rows] == [False] * (BATCH - 1) + [True]
    with pytest.raises(RuntimeError, match="fell over"):
        list(Evaluator(fragile).stream([sound(0.2)] * BATCH + [sound(0.5)]))


def test_a_broken_rater_ends_an_endless_stream() -> None:
    def endless() -> Iterator[Clip]:
        while True:
            yield sound(0.2)

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="fell over"):
        list(Evaluator(Fragile(), threads=2).stream(endless()))
    assert threading.active_count() == before


def test_rows_do_not_wait_for_ever() -> None:
    """A rater that failed once, and has nothing to score since, must not hold all rows back."""
    drawn = 0

    def many() -> Iterator[Clip]:
        nonlocal drawn
        for clip in [sound(0.2), *[picture(0.5)] * 400]:
            drawn += 1
            yield clip

    class Ear(Fragile):
        dimensions = Toy.dimensions[:1]
        tracks = ("audio",)

        def row(self, sample: Sample) -> Any:
            return super().row(sample) if sample.tracks else ({}, {"power": "no sound"}, {})

    rows = Evaluator(Ear(), threads=1).stream(many())
    next(rows)
    assert drawn < 300
    with pytest.raises(RuntimeError, match="fell over"):
        list(rows)


def test_a_damaged_file_is_kept_as_such(files: list[Path], tmp_path: Path) -> None:
    class Damaged(Toy):
        def load_track(self, clip: Clip, track: Track) -> Any:
            self.loads.append((track, clip.name))
            raise MediaError(clip.path or "clip", "the sound is damaged", "write it again")

    rater, store = Damaged(), Store(tmp_path / "s")
    evaluator = Evaluator(rater["power"], store=store)
    opened = [Clip.open(path) for path in files]
    for _ in range(2):
        found = evaluator.evaluate(opened)
        assert "the sound is damaged" in str(found.reasons[0])
    assert len(rater.loads) == len(files)
    rows = list(evaluator.stream(files))
    assert all("the sound is damaged" in str(row.error) and row.known for row in rows)


def test_a_store_is_asked_first(files: list[Path], tmp_path: Path) -> None:
    first, second = Toy("first"), Toy("second")
    store = Store(tmp_path / "s")
    opened = [Clip.open(path) for path in files]
    Evaluator(first, store=store).evaluate(opened[:2])
    Evaluator([first["power"], second["power"]], store=store).evaluate(opened)
    assert [name for _, name in first.loads] == [path.name for path in files]
    assert sorted(name for _, name in second.loads) == [path.name for path in files]
    Evaluator(first["power"] + second["power"], store=store).evaluate(opened)
    assert len(first.loads) == len(second.loads) == len(files)


def test_an_unloaded_evaluator_lets_go_of_its_models() -> None:
    class Weighty(Toy):
        module = torch.nn.Linear(1, 1)

    evaluator = Evaluator(Weighty()["power"])
    rater = weakref.ref(evaluator.raters[0])
    evaluator.evaluate(clips())
    evaluator.unload()
    gc.collect()
    assert rater() is None
    assert repr(evaluator) == "Evaluator(unloaded)"
    for use in (lambda: evaluator.evaluate(clips()), lambda: evaluator.stream(clips())):
        with pytest.raises(AvrewardError, match=r"^Evaluator: its models were unloaded; make a new one"):
            use()


def test_leaving_the_context_ends_what_still_streams(files: list[Path], tmp_path: Path) -> None:
    def endless() -> Iterator[Path]:
        while True:
            yield from files

    before, store = threading.active_count(), Store(tmp_path / "s")
    with Evaluator(Toy()["power"], store=store, threads=2) as evaluator:
        stream = evaluator.stream(endless())
        first = next(stream)
        assert first.path == files[0]
    assert threading.active_count() == before
    assert len(store) >= 1  # what was rated by then is kept
    with pytest.raises(AvrewardError, match=r"^Evaluator: its models were unloaded while this stream was open; read "):
        next(stream)


@pytest.mark.parametrize("where", ["loop", "source", "thread"])
def test_a_stream_says_that_its_models_were_unloaded(files: list[Path], where: str) -> None:
    evaluator, before = Evaluator(Toy(), threads=1), threading.active_count()

    def source() -> Iterator[Path]:
        for number, path in enumerate(files * 9):
            if where == "source" and number == 2:
                evaluator.unload()
            if where == "thread" and number == 2:
                thread = threading.Thread(target=evaluator.unload)
                thread.start()
                thread.join()
            yield path

    rows, read = evaluator.stream(source(), prefetch=1), []

    def loop() -> None:
        for row in rows:
            read.append(row)
            if where == "loop":
                evaluator.unload()

    with pytest.raises(AvrewardError, match=r"^Evaluator: its models were unloaded while this stream was open; read "):
        loop()
    assert len(read) <= 2
    assert threading.active_count() == before


def test_a_stream_that_has_ended_is_not_disturbed_by_unloading(files: list[Path]) -> None:
    evaluator = Evaluator(Toy())
    rows, closed = evaluator.stream(files), evaluator.stream(files)
    assert len(list(rows)) == len(files)
    closed.close()
    evaluator.unload()
    assert (list(rows), list(closed)) == ([], [])


def test_an_expression_is_a_reward() -> None:
    evaluator = Evaluator(["2*audio_quality", Toy()])
    rewards, scores = evaluator.evaluate([sound(0.1, samples=16000)])
    assert (type(rewards), type(scores)) == (Rewards, Scores)
    assert repr(evaluator) == "Evaluator(2*signals.audio_quality, toy)"
    (row,) = score_files([sound(0.1, samples=16000)], "audio_quality")
    assert row.rewards is not None
    assert 2 * row.rewards.values.item() == pytest.approx(rewards.values.item())


@pytest.mark.parametrize("targets", [[], 3, None])
def test_targets_are_rewards_or_raters(targets: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^targets: expected"):
        Evaluator(targets)


def test_wrong_settings(files: list[Path]) -> None:
    toy = Toy(per_clip=False)
    with pytest.raises(ArgumentError, match=r"^targets: expected a reward or an expression, got a int"):
        Evaluator([toy, 3])  # type: ignore[list-item]
    for name in ("batch_size", "threads"):
        with pytest.raises(ArgumentError, match=f"^{name}: expected a positive integer, got 0"):
            Evaluator(toy, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^targets: expected at most one reward to stream, got 2 rewards"):
        Evaluator([toy["power"], toy["peak"]]).stream(files)
    with pytest.raises(ArgumentError, match=r"^clips: expected a list of clips, got a single Clip"):
        Evaluator(toy).evaluate(sound(0.1))  # type: ignore[arg-type]
    assert repr(Evaluator([toy["power"], toy])) == "Evaluator(toy.power, toy)"


@pytest.mark.parametrize("wrong", [None, (clip for clip in ())])
def test_what_is_no_list_of_clips(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="clips: expected a list of clips, got"):
        Evaluator(Toy()).evaluate(wrong)


@pytest.mark.parametrize("wrong", [None, 3])
def test_what_is_no_list_of_files(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=f"files: expected several paths or clips, got {wrong}"):
        Evaluator(Toy()).stream(wrong)
    with pytest.raises(ArgumentError, match=f"files: expected paths or clips, got {wrong}"):
        list(Evaluator(Toy()).stream([wrong]))


def test_a_path_as_store() -> None:
    with pytest.raises(ArgumentError, match=r"store: expected a Store, got 'x.store'; pass Store\('x.store'\)"):
        Evaluator(Toy(), store="x.store")  # type: ignore[arg-type]


def test_a_tensor_changed_in_place_is_rated_again() -> None:
    for gradient in (False, True):
        wave = torch.full((1, 64), 0.5, requires_grad=gradient)
        clip, evaluator = Clip(audio=wave, sample_rate=16000), Evaluator(Loudness())
        for level in (0.5, 0.25, 0.5):
            with torch.no_grad():
                wave.fill_(level)
            equal = Clip(audio=wave.detach().clone(), sample_rate=16000)
            for one in (clip, Clip(audio=wave, sample_rate=16000), equal):
                assert evaluator.evaluate([one])["loudness"].tolist() == [level]


def test_a_changed_tensor_is_not_taken_for_an_equal_one() -> None:
    wave, evaluator = torch.full((1, 64), 0.5), Evaluator(Toy())
    evaluator.evaluate([Clip(audio=wave, sample_rate=16000)])
    wave.fill_(0.25)
    assert evaluator.evaluate([Clip(audio=torch.full((1, 64), 0.5), sample_rate=16000)])["power"].tolist() == [0.25]


def test_a_long_lived_evaluator_lets_go_of_tensors_and_their_graphs() -> None:
    evaluator, seen = Evaluator([Loudness(), Toy()]), []
    for level in range(6):
        leaf = torch.full((1, 64), level / 8, requires_grad=True)
        wave = leaf * 1.0
        seen.append(weakref.ref(leaf))
        evaluator.evaluate([Clip(audio=wave, sample_rate=16000)])
    del leaf, wave
    gc.collect()
    assert [one() for one in seen] == [None] * len(seen)


@pytest.mark.parametrize(
    ("there", "mine", "beside", "expected"),
    [
        (16, 16, None, 16), (16, 16, "4", 4), (16, 16, "40", 1), (16, 4, "4", 4),
        (16, 16, "0", 16), (16, 16, "two", 16),
    ],
)  # fmt: skip
def test_processes_of_one_launcher_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, there: int, mine: int, beside: str | None, expected: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: there)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(mine)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if beside is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", beside)
    assert cores() == expected == Evaluator(Toy()).threads
