"""Scoring many files with a store: what is not decoded again, and what a run leaves behind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_raters import Reading, Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.raters import ClipRater
from avreward.raters.base import Sample, Track, Work
from avreward.raters.scores import Dimension, Scores
from avreward.scoring import run as stream
from avreward.scoring.evaluator import Evaluator
from avreward.scoring.run import Scored, score_files
from avreward.scoring.store import _files as store_files
from avreward.scoring.store._errors import StoreError
from avreward.scoring.store.store import Store

LEVELS = [0.1, 0.4, 0.2, 0.3]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.wav" for i in range(len(LEVELS))]
    for path, level in zip(paths, LEVELS, strict=True):
        sound(level, samples=1600).save(path)
        os.utime(path, (1e9, 1e9))  # long ago, so that it is remembered
    return paths


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s")


def equal(one: Scored, other: Scored) -> None:
    assert (one.path, one.error) == (other.path, other.error)
    assert (one.rewards is None) == (other.rewards is None)
    if one.rewards is not None and other.rewards is not None:
        torch.testing.assert_close(one.rewards.values, other.rewards.values, rtol=0, atol=0, equal_nan=True)
        assert one.rewards.reasons == other.rewards.reasons
        assert one.rewards.basis == other.rewards.basis
    assert one.scores.keys() == other.scores.keys()
    for name, scores in one.scores.items():
        torch.testing.assert_close(scores.values, other.scores[name].values, rtol=0, atol=0, equal_nan=True)
        assert scores.reasons == other.scores[name].reasons


@pytest.mark.parametrize("per_clip", [True, False])
def test_known_ones_are_not_decoded(files: list[Path], store: Store, per_clip: bool) -> None:
    toy = Toy(per_clip=per_clip)
    reward = 2 * toy["overall"] - toy["peak"]
    plain = list(score_files(files, reward))
    first = list(score_files(files, reward, store=store))
    toy.loads.clear()
    toy.calls.clear()
    again = list(score_files(files, reward, store=store))
    assert (toy.loads, toy.calls) == ([], [])
    assert [row.known for row in (*first, *again)] == [False] * 4 + [True] * 4
    for rows in zip(plain, first, again, strict=True):
        equal(rows[0], rows[1])
        equal(rows[0], rows[2])


def test_new_ones_among_known_ones(files: list[Path], store: Store) -> None:
    toy = Toy(per_clip=False)
    list(score_files(files[1::2], toy, store=store))
    toy.loads.clear()
    rows = list(score_files(files, toy["power"], store=store))
    assert [row.path for row in rows] == files
    assert [row.known for row in rows] == [False, True, False, True]
    assert {name for _, name in toy.loads} == {"0.wav", "2.wav"}
    values = [row.rewards.values.item() for row in rows if row.rewards]
    assert values == pytest.approx(LEVELS, abs=1e-3)


def test_one_of_two_raters_is_known(files: list[Path], store: Store) -> None:
    first, second = Toy("first"), Toy("second")
    list(score_files(files, first, store=store))
    first.calls.clear()
    rows = list(score_files(files, first["power"] + second["peak"], store=store))
    assert (first.calls, second.calls) == ([], [1] * 4)
    assert [row.known for row in rows] == [False] * 4
    for row, plain in zip(rows, score_files(files, first["power"] + second["peak"]), strict=True):
        equal(row, plain)


def test_what_a_clip_lacks_is_known_too(store: Store) -> None:
    clips = [picture(0.5), sound(0.2), both(0.3, 0.4)]
    toy = Toy()
    plain = list(score_files(clips, toy["power"], store=store))
    toy.loads.clear()
    for row, other in zip(plain, score_files(clips, toy["power"], store=store, retry_missing=True), strict=True):
        equal(row, other)
        assert other.known
    assert toy.loads == []


class Damaged(Toy):
    """Fails to decode the sound, as of a damaged file."""

    damaged = True

    def load_track(self, clip: Clip, track: Track) -> Any:
        self.loads.append((track, clip.name))
        if self.damaged:
            raise MediaError(clip.path or "clip", "the sound is damaged", "write it again")
        return clip.sound()


def test_what_does_not_decode(files: list[Path], store: Store) -> None:
    rater, sound_one = Damaged("damaged"), Toy()
    reward = rater["power"] + sound_one["power"]
    plain = list(score_files(files, reward))
    first = list(score_files(files, reward, store=store))
    rater.loads.clear()
    sound_one.loads.clear()
    again = list(score_files(files, reward, store=store))
    assert rater.loads == sound_one.loads == []
    for rows in zip(plain, first, again, strict=True):
        equal(rows[0], rows[1])
        equal(rows[0], rows[2])
        assert rows[2].rewards is not None
        assert "the sound is damaged" in str(rows[2].rewards.reasons[0])
        assert rows[2].scores["toy"].present[0, 0]
        assert rows[2].known
    assert all(row.error is None for row in score_files(files, sound_one, store=store))  # nothing is wrong for this one
    rater.damaged = False
    assert all(
        row.rewards and row.rewards.present for row in score_files(files, reward, store=store, retry_missing=True)
    )
    assert all(row.known for row in score_files(files, reward, store=store))


def test_a_file_that_changed_meanwhile_is_not_called_damaged(files: list[Path], store: Store) -> None:
    class Changing(Damaged):
        def load_track(self, clip: Clip, track: Track) -> Any:
            assert clip.path is not None
            os.utime(clip.path)
            return super().load_track(clip, track)

    rater = Changing()
    assert all(row.error for row in score_files(files, rater, store=store))
    assert len(store) == 0


@pytest.mark.parametrize("streamed", [True, False])
def test_a_rater_that_reports_a_changed_file_as_a_missing_score_is_asked_again(
    files: list[Path], store: Store, streamed: bool
) -> None:
    class Loud(ClipRater):
        name = fingerprint = "loud"
        dimensions = (Dimension("peak", 0, 1, frozenset({"audio"})),)

        def rate_clip(self, clip: Clip) -> dict[str, torch.Tensor]:
            if changes:
                sound(0.9, samples=3200).save(changes.pop())  # after the store was asked, before it is decoded
            return {"peak": clip.sound().abs().amax()}

    changes, content, clip = [files[0]], files[0].read_bytes(), Clip.open(files[0])
    evaluator = Evaluator(Loud(), store=store)
    scores = next(evaluator.stream([clip])).scores["loud"] if streamed else evaluator.evaluate([clip])
    assert "changed" in scores.reasons[0]["peak"]
    files[0].write_bytes(content)
    assert evaluator.evaluate([Clip.open(files[0])]).present.all()


def test_files_that_are_not_media(files: list[Path], store: Store, tmp_path: Path) -> None:
    bad = [tmp_path / "text.mp4", tmp_path / "absent.mp4"]
    bad[0].write_text("not a video")
    for _ in range(2):
        rows = list(score_files([files[0], *bad], Toy(), store=store))
        assert [(row.error is None, row.clip is None) for row in rows] == [(True, False), (False, True), (False, True)]
        assert not any(row.known for row in rows[1:])
    assert len(store) == 1


def test_files_are_not_even_opened(files: list[Path], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    read = stream.Clip.open.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(Clip, "open", classmethod(lambda *a, **k: opened.append(a[1]) or read(*a, **k)))
    toy = Toy()
    before = list(score_files(files, toy, store=store))
    assert len(opened) == 4
    after = list(score_files(map(str, files), toy, store=Store(store.path)))
    assert len(opened) == 4
    for row, other in zip(before, after, strict=True):
        equal(row, other)
        assert row.clip is not None
        assert other.clip is not None
        assert (row.clip.seconds, dict(row.clip.keys)) == (other.clip.seconds, dict(other.clip.keys))
        assert row.clip.audio.equal(other.clip.audio)
    sound(0.25, samples=1600).save(files[0])  # as large as before
    (row,) = score_files(files[:1], toy, store=store)
    assert not row.known
    assert row.scores["toy"]["power"].item() == pytest.approx(0.25, abs=1e-3)
    assert len(opened) == 5
    (row,) = score_files(files[:1], toy, store=store)  # it was written a moment ago: within one tick of the clock?
    assert row.known
    assert len(opened) == 6


@pytest.mark.parametrize("opened", [True, False])
def test_a_known_run_writes_nothing(
    files: list[Path], store: Store, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    toy = Toy()
    list(score_files(files, toy, store=store))
    store.close()
    before = sorted(store.path.iterdir())

    def refused(rows: object) -> None:
        raise StoreError("the store is read-only")

    again = Store(store.path)
    monkeypatch.setattr(again, "write", refused)
    asked = [Clip.open(path) for path in files] if opened else files
    assert [row.known for row in score_files(asked, toy, store=again)] == [True] * len(files)
    assert Evaluator(toy, store=again).evaluate([Clip.open(path) for path in files])["power"].isfinite().all()
    assert sorted(store.path.iterdir()) == before


def test_another_version_of_the_code_reads_files_anew(
    files: list[Path], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(score_files(files, Toy(), store=store))
    monkeypatch.setattr(store_files, "made_by", lambda: "other")
    opened = []
    monkeypatch.setattr(store_files, "unpack", lambda *a: opened.append(a))
    assert all(row.known for row in score_files(files, Toy(), store=store))
    assert opened == []


def test_prompts_count_for_those_who_read_them(store: Store) -> None:
    clips = [both(0.2, 0.3).with_prompt(text) for text in ("a drum", "a bell")]
    rater = Reading("reading")
    list(score_files(clips[:1], rater, store=store))
    assert [row.known for row in score_files(clips, rater, store=store)] == [True, False]


def test_an_early_end_keeps_what_was_judged(files: list[Path], store: Store) -> None:
    rows = score_files(files, Toy(), store=store, decode_threads=1, compute_threads=1, prefetch=1)
    next(rows)
    rows.close()
    assert len(store) >= 1
    broken = iter([*files, 3])  # the last one is not a file

    def rated(self: Toy, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        raise RuntimeError("bug")

    with pytest.raises(ArgumentError, match=r"^files: expected paths or clips, got 3"):
        list(score_files(broken, Toy(), store=store))  # type: ignore[arg-type]
    assert len(store) == 4


def test_rows_are_written_while_the_run_goes_on(
    files: list[Path], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avreward.scoring.store._keeper.SECONDS_AT_ONCE", 0.0)
    rows = score_files(files, Toy(), store=store)
    other = Store(store.path)
    for count, _ in enumerate(rows, start=1):
        assert len(other) >= count


def test_a_store_that_cannot_be_written(files: list[Path], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def full(rows: object) -> None:
        tries.append(rows)
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(StoreError, match="the disk is full"):
        list(score_files(files, Toy(), store=store))
    assert len(tries) == 1
