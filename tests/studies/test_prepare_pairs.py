"""Pairs become an experiment: files that browsers play, nothing that depends on the pick, limits, what is left out."""

import os
import shutil
from dataclasses import replace

import media_files
import pytest
import torch
from scored_tables import pools

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.selection import candidates_of, export_pairs, make_pairs
from avreward.studies import Choices, PairRow, prepare_pairs, read_pair_rows
from avreward.studies._prepare_pairs import _kind


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Files of every kind: one video with two sounds, another video, two silent ones, two sounds."""
    folder = tmp_path_factory.mktemp("clips")
    for i, name in enumerate(("silent0", "silent1")):
        media_files.write(folder / f"{name}.mp4", 8 + i, fps=10, size=(32, 48))
    for i in range(3):
        wave = 0.3 * torch.sin(torch.arange(12800) * 0.1 * (i + 1))[None]
        Clip(audio=wave, sample_rate=16000).save(folder / f"sound{i}.wav")
        Clip.open(folder / f"silent{i // 2}.mp4").with_audio(wave, 16000).save(folder / f"dub{i}.mp4")
    return folder


def row(clips, first: str, second: str, picked: int | None = 0, **more) -> PairRow:
    return PairRow((clips / first, clips / second), (first, second), picked, **more)


def test_what_differs_decides_what_is_asked(clips, tmp_path):
    rows = [
        row(clips, "dub0.mp4", "dub1.mp4"), row(clips, "dub1.mp4", "dub2.mp4", 1, prompt="rain", group="g"),
        row(clips, "silent0.mp4", "silent1.mp4"), row(clips, "sound0.wav", "sound1.wav"),
    ]  # fmt: skip
    choices = prepare_pairs(rows, tmp_path / "asked")
    assert choices.asked() == {
        "dub0.mp4 / dub1.mp4": "sound", "dub1.mp4 / dub2.mp4": "clip",
        "silent0.mp4 / silent1.mp4": "video", "sound0.wav / sound1.wav": "audio",
    }  # fmt: skip
    (found,) = choices.videos("dub1.mp4 / dub2.mp4")
    assert (found.picked, found.prompt, found.group, found.width, found.height) == (1, "rain", "g", 48, 32)
    for video in choices.videos():
        for shown in video.candidates:
            assert Clip.open(choices.folder / shown.file).keys == Clip.open(clips / shown.source).keys
            assert "dub" not in shown.file
            assert "sound" not in shown.file


def test_nothing_depends_on_the_pick_or_on_the_order_of_a_row(clips, tmp_path):
    made = []
    for number, one in enumerate((row(clips, "dub0.mp4", "dub1.mp4", 0), row(clips, "dub1.mp4", "dub0.mp4", 0))):
        choices = prepare_pairs([one], tmp_path / f"{number}")
        choices._secret = "of both"
        anna = choices.person("Anna")
        (question,) = choices.questions(anna)
        made.append((question.key, question.first, question.second, [s.source for s in question.video.candidates]))
    assert made[0] == made[1]
    assert [Choices(tmp_path / f"{number}").videos()[0].picked for number in (0, 1)] == [0, 1]


def test_a_limit_takes_one_of_each_group_first_and_more_later(clips, tmp_path):
    rows = []
    for group in "abc":
        for number in range(4):
            for name in ("dub0.mp4", "dub1.mp4"):
                os.link(clips / name, tmp_path / f"{group}{number}{name}")
            rows.append(row(tmp_path, f"{group}{number}dub0.mp4", f"{group}{number}dub1.mp4", group=group))
    choices = prepare_pairs(rows, tmp_path / "asked", limit=3)
    few = set(choices.asked())
    assert {video.group for video in choices.videos()} == {"a", "b", "c"}
    more = set(prepare_pairs(rows, tmp_path / "asked", limit=6).asked())
    assert few < more
    assert len(more) == 6
    assert set(prepare_pairs(rows, tmp_path / "other", limit=3, seed=1).asked()) != few
    with pytest.raises(AvrewardError, match="expected an experiment with pairs"):
        prepare_pairs(rows[:5], tmp_path / "asked")
    with pytest.raises(AvrewardError, match="name another folder"):  # another rater's picks
        prepare_pairs([replace(one, picked=1 - one.picked) for one in rows], tmp_path / "asked")
    with pytest.raises(AvrewardError, match="limit: expected a positive integer, got 0"):
        prepare_pairs(rows, tmp_path / "asked", limit=0)


def test_what_cannot_be_asked_is_told_and_tried_again(clips, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    os.mkfifo(tmp_path / "pipe.mp4")
    shutil.copy(clips / "dub0.mp4", tmp_path / "dub0.mp4")
    rows = [row(tmp_path, "dub0.mp4", name) for name in ("gone.mp4", "broken.mp4", "pipe.mp4")]
    rows += [row(clips, "dub0.mp4", "dub1.mp4", None), row(clips, "dub0.mp4", "sound0.wav")]
    rows += [row(clips, "dub1.mp4", "dub0.mp4", 1)]  # the same two again
    choices = prepare_pairs(rows, tmp_path / "asked")
    assert not choices.asked()
    why = {video.name: video.reason for video in choices.videos()}
    assert why["dub0.mp4 / dub1.mp4"] == "the rater prefers neither"
    assert "there is no such file" in why["dub0.mp4 / gone.mp4"]
    assert "there is no such file" in why["dub0.mp4 / pipe.mp4"]
    assert "only one has a video" in why["dub0.mp4 / sound0.wav"]
    assert why["broken.mp4 / dub0.mp4"]
    shutil.copy(clips / "dub1.mp4", tmp_path / "gone.mp4")
    assert list(prepare_pairs(rows, tmp_path / "asked").asked()) == ["dub0.mp4 / gone.mp4"]


def test_clips_that_the_rows_hold_themselves(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(clips)
    names = [["dub0.mp4", "dub1.mp4"], ["dub1.mp4", "dub2.mp4"]]
    table = pools(tmp_path / "scores.parquet", [[1.0, 2.0], [4.0, 3.0]], clip=names)
    export_pairs(make_pairs(candidates_of(table)), tmp_path / "pairs", embed=True)
    monkeypatch.chdir(tmp_path)
    rows = read_pair_rows("pairs")
    assert not rows[0].files[0].exists()
    assert rows[1].content(1) == (clips / rows[1].sources[1]).read_bytes()
    choices = prepare_pairs(rows, "asked")
    assert sorted(choices.asked().values()) == ["clip", "sound"]
    for video in choices.videos():
        for shown in video.candidates:
            assert Clip.open(choices.folder / shown.file).keys == Clip.open(clips / shown.source).keys


def test_a_video_that_was_encoded_anew_is_the_same_video(tmp_path):
    """So that people are asked about the sound; another take of equal length is another video."""
    still = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(still[None], 9, 1, 4)[0]
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    moving = torch.stack([smooth.roll(2 * i, -1) for i in range(12)])
    other = torch.stack([smooth.roll(-2 * i, -1).flip(-2) for i in range(12)])
    tone = 0.2 * torch.sin(torch.arange(8000) * 0.1)[None]
    clips = []
    for name, video, crf in (("a", moving, 18), ("b", moving, 32), ("c", other, 18)):
        Clip(video=video, fps=12, audio=tone, sample_rate=8000).save(tmp_path / f"{name}.mp4", crf=crf)
        clips.append(Clip.open(tmp_path / f"{name}.mp4"))
    first, again, another = clips
    assert first.keys["video"] != again.keys["video"]
    assert [_kind(first, clip) for clip in (first, again, another)] == ["sound", "sound", "clip"]
