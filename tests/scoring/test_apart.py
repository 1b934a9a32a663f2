"""Files that are rated in the processes that decode them: the same scores, errors and rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from media_files import write
from toy_raters import Toy

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.media._isolated import workers
from avreward.media._isolated.workers import DecoderDied, Workers, isolated
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.scores import Dimension, Scores
from avreward.raters.signals.rater import SignalsRater
from avreward.raters.stereo.rater import StereoRater
from avreward.raters.wrappers import Linear, calibrated
from avreward.scoring import _apart
from avreward.scoring._apart import RatersApart
from avreward.scoring._streaming import Scored
from avreward.scoring.run import score_files
from avreward.scoring.store.store import Store


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    """One pool for all tests: starting it imports torch."""
    found = Workers(modules=["attacks.failing_rater"])
    yield found
    found.close()


@pytest.fixture
def apart(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setattr(pool, "close", lambda: None)
    with isolated(pool):
        yield pool
    pool.died.clear()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [write(folder / f"{i}.mp4", sound=sound) for i, sound in enumerate(("aac", None, "aac"))]
    (folder / "3.mp4").write_bytes(paths[0].read_bytes()[:-4000])
    write(folder / "4.wav", codec=None, sound="pcm_s16le")
    (folder / "5.mp4").write_bytes(b"nothing")
    return [*paths, *(folder / name for name in ("3.mp4", "4.wav", "5.mp4", "6.mp4"))]


def told(rows: Sequence[Scored]) -> list[Any]:
    """What the rows say, in values that can be compared, NaN as text."""
    return [
        (row.path, row.error, {name: (one.values.tolist().__repr__(), one.present.tolist(), one.reasons, one.basis)
                               for name, one in row.scores.items()})
        for row in rows
    ]  # fmt: skip


def rated_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the names of the clips that this process rates."""
    names: list[str] = []
    real = SignalsRater.rate

    def rate(rater: SignalsRater, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        names.extend(sample.clip.name for sample in samples)
        return real(rater, samples, work)

    monkeypatch.setattr(SignalsRater, "rate", rate)
    return names


def test_rows_are_those_of_this_process(
    apart: Workers, files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = rated_here(monkeypatch)
    raters: list[Rater] = [SignalsRater(), StereoRater()]
    found = told(list(score_files(files, raters[0], also=raters[1:])))
    with Store(tmp_path / "store") as store:
        kept = told(list(score_files(files, raters[0], also=raters[1:], store=store)))
        known = list(score_files(files, raters[0], also=raters[1:], store=store))
    assert not here
    with monkeypatch.context() as patch:
        patch.setattr(workers, "_active", [])
        expected = told(list(score_files(files, raters[0], also=raters[1:], isolate=False)))
    assert set(here) == {"0.mp4", "1.mp4", "2.mp4", "4.wav"}
    assert found == kept == told(known) == expected
    assert [row.known for row in known] == [True, True, True, False, True, False, False]


def test_a_rater_of_two_that_the_store_knows_is_not_asked(apart: Workers, files: list[Path], tmp_path: Path) -> None:
    asked: list[list[int]] = []
    real = RatersApart.rate
    with Store(tmp_path / "store") as store, pytest.MonkeyPatch.context() as patch:
        list(score_files(files[:1], StereoRater(), store=store))
        patch.setattr(RatersApart, "rate", lambda own, clip, which: asked.append(which) or real(own, clip, which))
        (row,) = score_files(files[:1], SignalsRater(), also=[StereoRater()], store=store)
    assert asked == [[0]]
    assert bool(row.scores["signals"].present.any())


class Mine(SignalsRater):
    """A class that another process can't import."""


def test_what_does_not_travel_is_rated_here(apart: Workers, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    here = rated_here(monkeypatch)
    changed = SignalsRater()
    changed.load = lambda clip, work=None: SignalsRater.load(changed, clip, work)  # type: ignore[method-assign]
    mixed = Clip.open(files[1]).with_audio(Clip.open(files[0]))
    given = Clip(audio=torch.rand(1, 8000, generator=torch.Generator().manual_seed(0)), sample_rate=8000)
    wrapped = calibrated(Mine(), {"overall": Linear(0.04, 1.0, 1.0, 5.0)})
    for rater in (Mine(), changed, wrapped):
        assert [row.error for row in score_files(files[:1], rater)] == [None]
    assert [row.error for row in score_files([mixed, given], SignalsRater())] == [None, None]
    assert [row.error for row in score_files(files[:1], SignalsRater(), also=[Toy()])] == [None]
    assert sorted(here) == ["0.mp4", "0.mp4", "0.mp4", "0.mp4", "1.mp4", "<tensor>"]


def test_a_calibrated_rater_travels(apart: Workers, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    here = rated_here(monkeypatch)
    rater = calibrated(SignalsRater(), {"overall": Linear(0.04, 1.0, 1.0, 5.0)})
    (row,) = score_files(files[:1], rater)
    assert not here
    (plain,) = score_files(files[:1], SignalsRater())
    expected = 1 + 0.04 * plain.scores["signals"]["overall"]
    torch.testing.assert_close(row.scores[rater.name]["overall"], expected)


def test_a_file_that_ends_its_process_is_one_row(apart: Workers, files: list[Path], tmp_path: Path) -> None:
    given = [files[0], tmp_path / "crash.mp4", tmp_path / "large.mp4", files[2]]
    for count, path in enumerate(given[1:3], 8):  # of different content, or one score would be known from another
        write(path, count, sound="aac", seconds=count / 10)
        os.utime(path, (1.6e9, 1.6e9))
    with Store(tmp_path / "store") as store:
        rows = list(score_files(given, SignalsRater(), store=store, decode_threads=2))
        assert [row.error is None for row in rows] == [True, False, False, True]
        assert "its decoder ended (SIGSEGV)" in str(rows[1].error)
        assert "needs more than 8192 MB of memory" in str(rows[2].error)
        assert set(rows[1].scores["signals"].reasons[0].values()) == {rows[1].error}
        for path in given[1:3]:
            with pytest.raises(DecoderDied, match="in an earlier run"):
                Store.open(store, path)


def test_an_error_of_the_rater_is_told(apart: Workers, files: list[Path], tmp_path: Path) -> None:
    zero = tmp_path / "zero.mp4"
    zero.write_bytes(files[0].read_bytes())
    with pytest.raises(AvrewardError, match=r"signals: ZeroDivisionError: by zero") as caught:
        list(score_files([zero], SignalsRater()))
    assert "failed on every clip" in " ".join(getattr(caught.value, "__notes__", ()))
    rows = list(score_files([zero, files[0]], SignalsRater()))
    assert [row.error for row in rows] == [None, None]
    assert "the rater failed: ZeroDivisionError: by zero" in rows[0].scores["signals"].reasons[0]["overall"]
    assert not apart.died


def test_where_torch_makes_other_floats_files_are_rated_here(
    apart: Workers, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = rated_here(monkeypatch)
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    list(score_files(files[:1], SignalsRater()))
    assert here == ["0.mp4"]


@pytest.mark.parametrize("spoil", ["rows", "columns", "kind", "nothing"])
def test_scores_that_no_rater_gives_are_an_error(spoil: str) -> None:
    rater = StereoRater()
    scores = Scores.collect([({}, {"panning": "no"}, {})], rater.dimensions)
    packed = list(_apart._packed(_apart.Rated(scores)))
    if spoil == "rows":
        packed[1:4] = packed[1] * 2, packed[2] * 2, packed[3] * 2
    if spoil == "columns":
        packed[1] = [[*packed[1][0], 1.0]]
    if spoil == "kind":
        packed[0] = "torch.int8"
    with pytest.raises((KeyError, ValueError, TypeError)):
        _apart._unpacked(rater, packed[: None if spoil != "nothing" else 0])


def test_uncertain_scores_keep_their_deviation() -> None:
    values = torch.tensor([[0.1, float("nan")]])
    dimensions = Dimension("x", 0, 1, frozenset()), Dimension("y", 0, 1, frozenset())
    scores = Scores(values, values.isfinite(), [{"y": "no"}], dimensions, sigma=torch.tensor([[0.3, float("nan")]]))
    rater = Toy()
    rater.dimensions = dimensions
    back = _apart._unpacked(rater, _apart._packed(_apart.Rated(scores))).scores
    assert torch.equal(back.sigma.nan_to_num(9), scores.sigma.nan_to_num(9))  # type: ignore[union-attr]
    assert torch.equal(back.values.nan_to_num(9), values.nan_to_num(9))
    assert back.values.dtype == torch.float32
