import csv
import json
import time
from pathlib import Path

import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic import _pair_render as pr
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._pair_sources import PairSource, pair_sources
from avreward.datasets.synthetic.av_pairs import pair_recipe
from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring.inputs import ListedClip, list_clips
from avreward.studies._pair_rows import read_pair_rows

RATE = 8000


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[PairSource]:
    folder = tmp_path_factory.mktemp("real")
    listed = []
    for number, prompt in enumerate(("a red dog barks", "two men sing")):
        dice = torch.Generator().manual_seed(number)
        video = (
            torch.rand(1, 3, 34, 50, generator=dice).expand(16, -1, -1, -1)
            * torch.linspace(0.4, 1, 16)[:, None, None, None]
        )
        audio = 0.2 * torch.randn(1, 2 * RATE, generator=dice) * torch.linspace(0.05, 1, 2 * RATE)
        path = folder / f"{number}.mp4"
        Clip(video=video, fps=8, audio=audio, sample_rate=RATE).save(path)
        listed.append(ListedClip(path, prompt))
    (folder / "1.words.json").write_text('[["two", 0.1, 0.4], ["men", 1.2, 1.6]]')
    return pair_sources(listed)


KINDS = ("noise", "picture_noise", "swapped", "attribute", "words_dropped", "shuffled")


def test_pairs_are_written_with_their_table(sources: list[PairSource], tmp_path: Path) -> None:
    done = pr.render_pairs(sources, pair_recipe("all", KINDS), tmp_path, 24, seconds=1.0)
    rows = read(tmp_path / "pairs.csv")
    assert done.pairs == len(rows) == 24 - sum(done.skipped.values())
    assert set(done.kinds) == set(KINDS)
    assert not done.failed
    assert done.unpaired == 0
    for row in rows:
        good, bad = (
            row[side] for side in (("first", "second") if row["preferred"] == "first" else ("second", "first"))
        )
        assert row[row["dimension"]] == row["preferred"]
        first, second = (Clip.open(tmp_path / path) for path in (good, bad))
        assert (first.height, first.width) == (34, 50)
        assert first.seconds == pytest.approx(1.0, abs=0.01)
        same = {track for track in ("video", "audio") if first.keys[track] == second.keys[track]}
        assert same == {"video", "audio"} - {ALL_PERTURBATIONS[row["perturbation"]].track}, row["kind"]
        assert (row["first_prompt"] != row["second_prompt"]) == (row["kind"] == "attribute")
        assert Path(row["source"]).is_file()
        assert bool(row["other"]) == (row["kind"] == "swapped")
    assert {row["subset"] for row in rows} == {"easy", "hard"}
    assert [row.picked for row in read_pair_rows(tmp_path / "pairs.csv", "preferred")] == [
        0 if row["preferred"] == "first" else 1 for row in rows
    ]
    labels = read(tmp_path / "labels.csv")
    assert {row["level"]: row[row["dimension"]] for row in labels} == {"excellent": "5", "bad": "1"}
    assert sum(row["level"] == "bad" for row in labels) == len(rows)
    assert all(one.path.is_file() for one in list_clips(tmp_path / "labels.csv"))


def test_a_stopped_run_continues_with_the_same_result(sources: list[PairSource], tmp_path: Path) -> None:
    kinds = pair_recipe("all", KINDS)
    pr.render_pairs(sources, kinds, tmp_path / "whole", 12, seconds=1.0)

    def stop(name: str) -> None:
        if name.startswith("000005"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pr.render_pairs(sources, kinds, tmp_path / "stopped", 12, seconds=1.0, step=stop)
    with (tmp_path / "stopped/journal.jsonl").open("a") as file:
        file.write('{"number": 6, "pai')  # killed while writing
    seen: list[str] = []
    done = pr.render_pairs(sources, kinds, tmp_path / "stopped", 12, seconds=1.0, step=seen.append)
    assert done.known == 6
    assert len(seen) == 12
    assert tree(tmp_path / "stopped") == tree(tmp_path / "whole")
    before = tree(tmp_path / "stopped")
    assert pr.render_pairs(sources, kinds, tmp_path / "stopped", 12, seconds=1.0).known == 12
    assert tree(tmp_path / "stopped") == before


def test_files_are_the_same_for_any_number_of_workers(sources: list[PairSource], tmp_path: Path) -> None:
    kinds = pair_recipe("all", KINDS)
    seen: list[str] = []
    pr.render_pairs(sources, kinds, tmp_path / "one", 12, seconds=1.0)
    done = pr.render_pairs(sources, kinds, tmp_path / "three", 12, seconds=1.0, workers=3, step=seen.append)
    assert tree(tmp_path / "three") == tree(tmp_path / "one")
    assert seen == sorted(seen)
    assert done.unpaired == 0

    def stop(name: str) -> None:
        if name.startswith("000003"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pr.render_pairs(sources, kinds, tmp_path / "stopped", 12, seconds=1.0, workers=3, step=stop)
    assert pr.render_pairs(sources, kinds, tmp_path / "stopped", 12, seconds=1.0, workers=2).known == 4
    assert tree(tmp_path / "stopped") == tree(tmp_path / "one")
    with pytest.raises(ArgumentError, match="workers: expected a positive integer"):
        pr.render_pairs(sources, kinds, tmp_path / "none", 12, workers=0)


def test_pairs_of_one_window_write_its_clip_once(
    sources: list[PairSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    save = Clip.save

    def slow(clip: Clip, path: Path) -> None:
        written.append(path.name)
        time.sleep(0.2)  # the other threads ask for the same file meanwhile
        save(clip, path)

    monkeypatch.setattr(Clip, "save", slow)
    made = pr.render_pairs(sources[:1], pair_recipe("all", ["noise"]), tmp_path, 6, seconds=2.0, workers=3)
    assert made.pairs == 6
    assert len(written) == len(set(written)) == 7  # six noises, one original


def test_other_settings_are_refused(sources: list[PairSource], tmp_path: Path) -> None:
    pr.render_pairs(sources, pair_recipe("all", ["noise"]), tmp_path, 1, seconds=1.0)
    for settings, named in (({"seed": 2}, "seed"), ({"seconds": 2.0}, "seconds"), ({"side": 40}, "side")):
        with pytest.raises(ArgumentError, match=f"written with other {named}; choose another folder"):
            pr.render_pairs(sources, pair_recipe("all", ["noise"]), tmp_path, 1, **({"seconds": 1.0} | settings))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="written with other kinds"):
        pr.render_pairs(sources, pair_recipe("all", ["shift"]), tmp_path, 1, seconds=1.0)
    with pytest.raises(ArgumentError, match="side: expected an integer of at least 32"):
        pr.render_pairs(sources, pair_recipe("all", ["noise"]), tmp_path, 1, side=3)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(AvrewardError, match=r"settings\.json: it can't be read .*; choose another folder"):
        pr.render_pairs(sources, pair_recipe("all", ["noise"]), tmp_path, 1, seconds=1.0)


def test_what_can_not_be_made_has_its_reason(sources: list[PairSource], tmp_path: Path) -> None:
    still = tmp_path / "still.mp4"
    Clip(video=torch.full((8, 3, 32, 32), 0.5), fps=8).save(still)
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(still.read_bytes())
    found = pair_sources(list_clips([still, gone]))
    gone.unlink()
    done = pr.render_pairs(found, pair_recipe("all", ["shuffled"]), tmp_path / "out", 8)
    assert not done.pairs
    assert list(done.skipped) == ["shuffled: it makes no difference that can be noticed; give other clips"]
    assert list(done.failed) == [str(gone)]
    assert {row["reason"].partition(";")[0] for row in read(tmp_path / "out/skipped.csv")} >= {
        "it makes no difference that can be noticed"
    }
    assert read(tmp_path / "out/pairs.csv") == []


def test_the_control_of_a_voice_is_made_of_the_original(
    sources: list[PairSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyworld")
    from avreward.datasets.synthetic import _perturb_voice as voice

    def moved(clip: Clip, pitch: float | None, formants: float | None) -> Clip:
        return clip.with_audio(clip.sound() * (0.5 if pitch is None else 0.9), RATE)

    monkeypatch.setattr(voice, "_moved", moved)
    pr.render_pairs(sources, pair_recipe("all", ["gender"]), tmp_path, 1, seconds=1.0)
    (row,) = read(tmp_path / "pairs.csv")
    assert {Path(row["first"]).name, Path(row["second"]).name} == {"000000-gender.mp4", "000000-gender-original.mp4"}


def test_words_move_with_the_window() -> None:
    words = json.dumps([["a", 0.2, 0.5], ["b", 1.25, 1.5], ["c", 1.9, 2.1]])
    clip = Clip(audio=torch.zeros(3 * RATE), sample_rate=RATE, texts={"words": words, "speech": "a b c"})
    part = pr.cut(clip, 1.0, 1.0, 480)
    assert json.loads(part.texts["words"]) == [["b", 0.25, 0.5]]
    assert part.texts["speech"] == "b"
    assert part.sound().shape == (1, RATE)


def test_sources_read_what_a_clip_has(sources: list[PairSource], tmp_path: Path) -> None:
    assert sources[1].has == {"video", "audio", "prompt", "texts.words", "texts.speech"}
    assert sources[1].texts["speech"] == "two men"
    assert sources[0].name != sources[1].name
    told: list[str] = []
    listed = [
        ListedClip(sources[0].path, None, {"category": "dog", "scenario": "music-text"}),
        ListedClip(tmp_path / "no.mp4"),
    ]
    (one,) = pair_sources(listed, told.append)
    assert (one.category, one.scenario) == ("dog", "music-text")
    assert "no.mp4" in told[0]
    with pytest.raises(ArgumentError, match="scenario: expected one of audio-video"):
        pair_sources([ListedClip(sources[0].path, None, {"scenario": "x"})])
    with pytest.raises(ArgumentError, match="words: expected a JSON list"):
        pair_sources([ListedClip(sources[0].path, None, {"texts.words": "x"})])
    with pytest.raises(ArgumentError, match="expected at least one clip that can be opened, got none"):
        pair_sources([ListedClip(tmp_path / "no.mp4")])


def test_a_silent_video_is_no_question_about_audio(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    Clip(video=torch.rand(4, 3, 32, 32), fps=4).save(silent)
    (one,) = pair_sources([ListedClip(silent, "a red ball", {})])
    assert one.scenario == ""
    assert not any(kind.fits(one) for kind in pair_recipe("agav_rater"))
    assert any(kind.fits(one) for kind in pair_recipe("avbench"))
