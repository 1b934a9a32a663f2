"""Dubbing: the best of each video is kept, a stopped run continues, and nothing is lost in silence."""

import json

import pandas
import pytest
import torch
from toy_raters import Toy

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators.base import GeneratorStopped
from avreward.scoring import read_table
from avreward.studies import SilentVideo, dub_videos, plan_of


def silent(path, frames=8):
    Clip(video=torch.full((frames, 3, 32, 48), 0.4), fps=16).save(path)
    return path


class Dubber:
    """Tones that are louder for higher numbers, and different for each video."""

    identity = "tones"

    def __init__(self, stop_at=None, fail=()):
        self.made, self.stop_at, self.fail = [], stop_at, fail

    def __call__(self, clip, seed):
        if self.stop_at is not None and len(self.made) >= self.stop_at:
            raise GeneratorStopped("the budget is spent")
        name = clip.path.stem
        if (name, seed) in self.fail:
            raise RuntimeError("no sound came")
        self.made.append((name, seed))
        return clip.with_audio((0.2 + 0.2 * seed) * torch.sin(torch.arange(8000) * 0.3)[None], 16000)


@pytest.fixture
def videos(tmp_path):
    return [SilentVideo(silent(tmp_path / f"{name}.mp4"), f"a {name}", name.upper()) for name in ("rain", "dog")]


def test_the_best_of_each_is_kept(videos, tmp_path):
    done = dub_videos(videos, Dubber(), Toy()["power"], tmp_path / "out", 3)
    assert (done.failed, done.stopped, done.pairs) == ({}, None, 2)
    table = read_table(tmp_path / "out" / "scores.csv")
    rows = table.rows.to_pylist()
    assert [(row["group"], row["category"], row["prompt"]) for row in rows[::3]] == [
        ("rain", "RAIN", "a rain"), ("dog", "DOG", "a dog"),
    ]  # fmt: skip
    for name in ("rain", "dog"):
        own = [row for row in rows if row["group"] == name]
        best = max(own, key=lambda row: row["reward"])
        assert best["clip"].endswith(f"{name}/2.mp4")
        assert done.best[name].read_bytes() == (tmp_path / "out" / "candidates" / name / "2.mp4").read_bytes()
        kept = Clip.open(done.best[name])
        assert (len(kept.times), kept.has_audio) == (8, True)
        assert float(Toy()["power"]([kept])) == pytest.approx(best["reward"])  # the table is about these files
    pairs = pandas.read_csv(tmp_path / "out" / "pairs.csv")
    assert list(pairs["category"]) == ["RAIN", "DOG"]
    assert (pairs["chosen_reward"] > pairs["rejected_reward"]).all()
    assert all(path.endswith("2.mp4") for path in pairs["chosen"])


def test_a_stopped_run_continues_and_makes_nothing_twice(videos, tmp_path):
    first = Dubber(stop_at=2)
    done = dub_videos(videos, first, Toy()["power"], tmp_path / "out", 2)
    assert done.stopped == "the budget is spent"
    assert set(done.best) == {"rain"}
    assert set(done.failed) == {"dog/0", "dog/1", "dog"}
    second = Dubber()
    again = dub_videos(videos, second, Toy()["power"], tmp_path / "out", 2)
    assert second.made == [("dog", 0), ("dog", 1)]
    assert (set(again.best), again.failed) == ({"rain", "dog"}, {})


def test_a_dub_that_fails_costs_itself(videos, tmp_path):
    dubber = Dubber(fail={("rain", 1), ("dog", 0), ("dog", 1)})
    done = dub_videos(videos, dubber, Toy()["power"], tmp_path / "out", 2)
    assert set(done.best) == {"rain"}
    assert done.pairs == 0  # a lone dub is no pair
    assert "no sound came" in done.failed["rain/1"]
    assert done.failed["dog"] == "no dub of it has a reward"
    assert not (tmp_path / "out" / "pairs.csv").exists()


def test_another_provider_is_refused(videos, tmp_path):
    dub_videos(videos[:1], Dubber(), Toy()["power"], tmp_path / "out", 1)
    other = Dubber()
    other.identity = "others"
    with pytest.raises(AvrewardError, match="got those of another provider; name another folder"):
        dub_videos(videos, other, Toy()["power"], tmp_path / "out", 1)
    (tmp_path / "out" / "dub.json").unlink()
    with pytest.raises(AvrewardError, match="expected an empty folder, got one with candidates"):
        dub_videos(videos, Dubber(), Toy()["power"], tmp_path / "out", 1)
    (tmp_path / "out" / "dub.json").write_text("{")
    with pytest.raises(AvrewardError, match="another provider"):
        dub_videos(videos, Dubber(), Toy()["power"], tmp_path / "out", 1)


def test_bad_videos(videos, tmp_path):
    (tmp_path / "text.mp4").write_text("nothing")
    Clip(audio=torch.zeros(1, 8000), sample_rate=16000).save(tmp_path / "sound.wav")
    bad = [SilentVideo(tmp_path / name) for name in ("text.mp4", "sound.wav", "gone.mp4")]
    done = dub_videos([*videos, *bad], Dubber(), Toy()["power"], tmp_path / "out", 1)
    assert set(done.best) == {"rain", "dog"}
    assert set(done.failed) == {"text", "sound", "gone"}
    assert "it has no video" in done.failed["sound"]
    with pytest.raises(ArgumentError, match="videos: expected files with different names, got rain twice"):
        dub_videos([videos[0], videos[0]], Dubber(), Toy()["power"], tmp_path / "other")
    with pytest.raises(ArgumentError, match="n: expected a positive integer, got 0"):
        dub_videos(videos, Dubber(), Toy()["power"], tmp_path / "other", 0)
    assert not (tmp_path / "other").exists()


def test_the_plan_says_what_is_asked_and_what_cannot_be(videos, tmp_path):
    def words(clip):
        if clip.path.stem == "dog":
            raise AvrewardError("no text for it")
        return "heavy rain"

    rain, dog = plan_of(videos, words, 3)
    assert (rain["text"], rain["seconds"], rain["requests"], rain["seconds_of_sound"]) == ("heavy rain", 0.5, 3, 1.5)
    assert (dog["problem"], dog["requests"], dog["seconds_of_sound"]) == ("no text for it", 0, 0.0)
    assert json.dumps(rain)
