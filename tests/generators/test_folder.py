"""Finished candidates of a folder as a generator."""

import pytest
import torch

from avreward import BestOfN, Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.generators.folder import FolderGenerator


def tone(path, pitch: float):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * torch.sin(pitch * torch.arange(8000) / 8000 * 6.283)
    Clip(audio=wave[None], sample_rate=8000).save(path)


@pytest.fixture
def video(tmp_path) -> Clip:
    path = tmp_path / "videos" / "rain.mkv"
    path.parent.mkdir()
    Clip(video=torch.rand(8, 3, 32, 32), fps=8).save(path)
    return Clip.open(path)


def names(generate, name):
    return [path.name for path in generate.candidates(name)]


def test_names_that_begin_alike_in_natural_order(tmp_path, video):
    for name in ("rain_10", "rain_2", "rain-1", "rainbow_1", "rain"):
        tone(tmp_path / f"{name}.wav", 200)
    (tmp_path / "rain_3.txt").write_text("no media")
    (tmp_path / ".rain_4.wav").write_text("a hidden file")
    assert names(FolderGenerator(tmp_path), "rain") == ["rain-1.wav", "rain_2.wav", "rain_10.wav"]


def test_the_layout_of_the_published_dubs(tmp_path):
    for i, rank in enumerate((2, 3, 1)):
        tone(tmp_path / f"33_sora_elevenlabs_{i}_rank{rank}.wav", 200)
    tone(tmp_path / "33_1.wav", 200)
    generate = FolderGenerator(tmp_path, ["33_sora", "33"])
    assert names(generate, "33_sora") == [f"33_sora_elevenlabs_{i}_rank{r}.wav" for i, r in enumerate((2, 3, 1))]
    assert names(generate, "33") == ["33_1.wav"]


def test_a_folder_for_each_video_comes_first(tmp_path, video):
    for name in ("rain/b.wav", "rain/a.wav", "rain_1.wav"):
        tone(tmp_path / name, 200)
    generate = FolderGenerator(tmp_path)
    assert names(generate, "rain") == ["a.wav", "b.wav"]
    assert generate.count(video) == 2


def test_audio_comes_from_the_candidate_and_video_from_the_condition(tmp_path, video):
    for number in range(3):
        tone(tmp_path / f"rain_{number}.wav", 200 + 100 * number)
    dub = FolderGenerator(tmp_path)(video, 1)
    assert dub.keys["video"] == video.keys["video"]
    assert torch.equal(dub.audio, Clip.open(tmp_path / "rain_1.wav").audio)


def test_more_than_there_are_is_missing_with_the_reason(tmp_path, video):
    for number in range(2):
        tone(tmp_path / f"rain_{number}.wav", 200)
    (tmp_path / "rain_2.wav").write_bytes(b"not a sound")
    found = BestOfN(FolderGenerator(tmp_path), load_rater("signals")["audio_quality"], n=4)(video)
    assert sorted(found.missing) == [2, 3]
    assert "it has 3 candidates for rain, but number 3 was asked for" in found.missing[3]
    assert found.ranked[0].seed == 0  # of equal rewards the earlier one


def test_no_folder_and_no_name(tmp_path):
    with pytest.raises(MediaError, match="the folder does not exist; pass"):
        FolderGenerator(tmp_path / "none")
    with pytest.raises(ArgumentError, match="condition: expected a clip with a file name, got a clip of tensors"):
        FolderGenerator(tmp_path)(Clip(prompt="rain"), 0)


def test_another_folder_does_not_take_over_what_was_found(tmp_path, video, monkeypatch):
    reward = load_rater("signals")["audio_quality"]
    for folder in "ab":
        tone(tmp_path / folder / "rain_0.wav", 200 if folder == "a" else 4000)
    BestOfN(FolderGenerator(tmp_path / "a"), reward, 1, out=tmp_path / "out")(video)
    with pytest.raises(AvrewardError, match=r"out: .* with candidates of another run; pass another folder"):
        BestOfN(FolderGenerator(tmp_path / "b"), reward, 1, out=tmp_path / "out")(video)
    monkeypatch.chdir(tmp_path)  # the same folder, by another path
    assert BestOfN(FolderGenerator("a"), reward, 1, out="out")(video).candidates[0].known
    with pytest.raises(AvrewardError, match=r"out: .* with candidates of another run; pass another folder"):
        BestOfN(FolderGenerator("a", names=["rain"]), reward, 1, out="out")(video)
