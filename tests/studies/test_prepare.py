"""Making an experiment: dubs, picks, files to play; what fails is told, and files know nothing of the picks."""

from pathlib import Path

import media_files
import numpy as np
import pytest
import torch

from avreward import Clip, load_rater
from avreward.errors import ArgumentError
from avreward.generators.base import GeneratorStopped
from avreward.generators.folder import FolderGenerator
from avreward.report._media import browser_plays
from avreward.studies._prepare import prepare
from avreward.studies.choices import Choices

REWARD = load_rater("signals")["audio_quality"]


def dub(path: Path, gain: float) -> None:
    wave = gain * torch.sin(torch.arange(12000) / 12000 * 2 * torch.pi * 300)
    wave = wave + 0.02 * torch.from_numpy(np.random.default_rng(0).normal(size=12000)).float()
    Clip(audio=wave.clamp(-1, 1)[None], sample_rate=12000).save(path)


@pytest.fixture
def videos(tmp_path) -> list[Path]:
    (tmp_path / "dubs").mkdir()
    paths = []
    odd = {"size": (33, 47), "pixels": "yuv444p"}  # no browser plays it as it is
    for name, form in (("rain", odd), ("sea", {"size": (32, 48)})):
        paths.append(media_files.write(tmp_path / f"{name}.mp4", 8, fps=8, **form))
        for number, gain in enumerate((30.0, 0.3)):  # the first one is overdriven
            dub(tmp_path / "dubs" / f"{name}_{number}.wav", gain)
    return paths


def made(folder, videos, generate, reward=REWARD, **options) -> Choices:
    choices = Choices(folder, {"seed": 0})
    prepare(choices, videos, generate, reward, **{"n": None, **options})
    return choices


def test_the_better_dub_is_picked_and_browsers_play_both(videos, tmp_path):
    told = []
    generate = FolderGenerator(tmp_path / "dubs")
    choices = made(tmp_path / "out", videos, generate, categories={"sea.mp4": "Sea", "rain": "Water"}, step=told.append)
    assert [(video.name, video.picked, video.category) for video in choices.videos()] == [
        ("rain", 1, "Water"),
        ("sea", 1, "Sea"),
    ]
    assert told == ["rain", "sea"]
    for video in choices.videos():
        assert [shown.source for shown in video.candidates] == [f"{video.name}_0.wav", f"{video.name}_1.wav"]
        assert video.candidates[1].reward > video.candidates[0].reward
        assert (video.width, video.height) == {"rain": (47, 33), "sea": (48, 32)}[video.name]
        assert video.poster.startswith("data:image/jpeg")
        for shown in video.candidates:
            path = choices.folder / shown.file
            assert browser_plays(path)
            assert Clip.open(path).has_audio
            assert video.name not in path.name


def test_files_know_nothing_of_the_picks(videos, tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda length: "0" * 2 * length)  # names hold a key of the experiment
    generate = FolderGenerator(tmp_path / "dubs")
    # The sea alone: x264 doesn't give the same bytes every time, and its packets are copied.
    one, other = (made(tmp_path / name, videos[1:], generate, r) for name, r in (("a", REWARD), ("b", -1 * REWARD)))
    assert [video.picked for video in one.videos()] == [1]
    assert [video.picked for video in other.videos()] == [0]
    files = [{path.name: path.read_bytes() for path in (c.folder / "clips_files").iterdir()} for c in (one, other)]
    assert len(files[0]) == 2
    assert files[0] == files[1]


def test_names_of_files_cannot_be_computed_from_names_of_videos(videos, tmp_path):
    generate = FolderGenerator(tmp_path / "dubs")
    one, other = (made(tmp_path / name, videos[1:], generate, REWARD) for name in "ab")
    files = [{shown.file for video in c.videos() for shown in video.candidates} for c in (one, other)]
    assert not files[0] & files[1]


def test_what_fails_is_told_and_tried_again(videos, tmp_path):
    class Flaky:
        failing = True
        calls = 0

        def __call__(self, clip: Clip, seed: int) -> Clip:
            self.calls += 1
            if self.failing and (clip.name == "sea.mp4" or seed == 2):
                raise RuntimeError("no answer")
            return FolderGenerator(tmp_path / "dubs")(clip, seed % 2)

    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    silent = tmp_path / "sound.wav"
    dub(silent, 0.2)
    flaky = Flaky()
    choices = made(tmp_path / "out", [*videos, broken, silent], flaky, n=3)
    found = {video.name: video for video in choices.videos()}
    assert found["rain"].picked == 1
    assert found["rain"].candidates[2].reason == "RuntimeError: no answer"
    assert found["rain"].candidates[2].file is None
    assert (found["sea"].picked, "no answer" in found["sea"].reason) == (None, True)
    assert found["broken"].picked is None
    assert "no video" in found["sound"].reason
    assert len(choices.questions(choices.person("Anna"))) == 1
    flaky.failing, flaky.calls = False, 0
    prepare(choices, videos, flaky, REWARD, 3)
    assert flaky.calls == 3  # of the sea alone
    assert {video.name: video.picked for video in choices.videos()}["sea"] == 1


def test_fewer_than_two_is_nothing_to_choose_from(videos, tmp_path):
    (tmp_path / "dubs" / "sea_0.wav").unlink()
    (tmp_path / "dubs" / "rain_0.wav").write_bytes(b"garbage")
    choices = made(tmp_path / "out", videos, FolderGenerator(tmp_path / "dubs"))
    reasons = {video.name: video.reason for video in choices.videos()}
    assert "it has 1 of the 2 candidates that a choice needs" in reasons["sea"]
    assert "fewer than two dubs can be compared" in reasons["rain"]
    assert not choices.questions("anybody")


def test_of_equal_rewards_the_earlier_one(videos, tmp_path):
    choices = made(tmp_path / "out", videos[:1], lambda clip, seed: FolderGenerator(tmp_path / "dubs")(clip, 1), n=3)
    assert choices.videos()[0].picked == 0


def test_a_provider_that_gives_up_ends_it_and_what_is_done_stays(videos, tmp_path):
    def generate(clip: Clip, seed: int) -> Clip:
        if clip.name == "sea.mp4":
            raise GeneratorStopped("budget: spent")
        return FolderGenerator(tmp_path / "dubs")(clip, seed)

    choices = Choices(tmp_path / "out", {"seed": 0})
    with pytest.raises(GeneratorStopped, match="spent"):
        prepare(choices, videos, generate, REWARD, 2)
    assert [video.name for video in choices.videos()] == ["rain"]


def test_a_category_that_comes_later(videos, tmp_path):
    generate = FolderGenerator(tmp_path / "dubs")
    choices = made(tmp_path / "out", videos, generate, categories={"rain": "Sea"})
    before = choices.videos()
    for table in ({"rain": "Water"}, None, {"sea": "Sea"}):
        prepare(choices, videos, generate, REWARD, None, categories=table)
    assert [video.category for video in choices.videos()] == ["Water", "Sea"]
    assert [(video.picked, video.candidates) for video in choices.videos()] == [
        (video.picked, video.candidates) for video in before
    ]


def test_two_videos_of_one_name(videos, tmp_path):
    with pytest.raises(ArgumentError, match="expected files with different names, got rain twice"):
        made(tmp_path / "out", [videos[0], tmp_path / "other" / "rain.mp4"], FolderGenerator(tmp_path / "dubs"))
