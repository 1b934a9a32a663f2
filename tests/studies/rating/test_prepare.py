"""Clips become files that browsers play; soundtracks of one video are equally loud."""

import pytest
import torch
from rating_studies import dubs

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.scoring import ListedClip
from avreward.studies import RatingStudy, prepare_study
from avreward.studies.rating._loudness import _measured, matched_gains


def levels(study):
    opened = [Clip.open(study.folder / clip.file) for clip in study.clips() if clip.file]
    return [_measured(clip.sound(), clip.sample_rate)[0] for clip in opened]


def test_soundtracks_are_equally_loud_and_the_video_is_untouched(tmp_path):
    clips = dubs(tmp_path, groups=1)
    study = RatingStudy(tmp_path / "study", "soundtracks")
    prepare_study(study, clips)
    before = [_measured(Clip.open(one.path).sound(), 16000)[0] for one in clips]
    assert max(before) - min(before) > 6
    assert max(levels(study)) - min(levels(study)) < 0.3
    assert {Clip.open(study.folder / c.file).keys["video"] for c in study.clips()} == {
        Clip.open(clips[0].path).keys["video"]
    }
    assert next((c.group, c.system, c.prompt) for c in study.clips()) == ("GROUP0", "SYSTEM0", "a prompt & <b>0</b>")


def test_clips_that_are_rated_alone_keep_their_loudness_and_bytes(tmp_path):
    clips = dubs(tmp_path, groups=1)
    study = RatingStudy(tmp_path / "study", "scores")
    prepare_study(study, clips)
    assert [(study.folder / c.file).read_bytes() for c in study.clips()] == [c.path.read_bytes() for c in clips]
    names = " ".join(c.file for c in study.clips())
    assert "NAME" not in names


def test_gains_never_clip_and_leave_silence_alone():
    tone = torch.sin(torch.arange(48000) * 0.05)[None]
    click = torch.zeros(1, 48000)
    click[0, 24000:24005] = 1.0  # loud peak, little loudness
    gains = matched_gains([(0.5 * tone, 48000), (click, 48000), (torch.zeros(1, 48000), 48000)])
    assert gains[2] == 1
    assert gains[1] <= 0.9
    assert _measured(gains[0] * 0.5 * tone, 48000)[0] == pytest.approx(-31, abs=0.5)  # no lower, whatever the click
    alike = matched_gains([(0.5 * tone, 48000), (0.05 * tone, 48000)])
    found = [_measured(gain * level * tone, 48000)[0] for gain, level in zip(alike, (0.5, 0.05), strict=True)]
    assert found == pytest.approx([-23, -23], abs=0.05)


def test_what_cannot_be_compared_is_left_out_with_the_reason(tmp_path):
    clips = dubs(tmp_path, groups=2, each=2)
    silent = ListedClip(tmp_path / "silent0.mp4", None, {"group": "GROUP0"})
    other = ListedClip(clips[2].path, None, {"group": "GROUP0"})
    gone = ListedClip(tmp_path / "gone.mp4", None, {"group": "GROUP0"})
    study = RatingStudy(tmp_path / "study", "soundtracks")
    prepare_study(study, [*clips[:2], silent, other, gone])
    reasons = {clip.name.rpartition("/")[2]: clip.reason for clip in study.clips() if clip.reason}
    assert "it has no audio" in reasons["silent0.mp4"]
    assert "another video than NAME00.mp4" in reasons["NAME10.mp4"]
    assert "there is no such file" in reasons["gone.mp4"]
    assert [len(found) for found in study.questions().values()] == [2]


def test_a_study_goes_on_and_takes_more_clips(tmp_path):
    clips = dubs(tmp_path, groups=1)
    study = RatingStudy(tmp_path / "study", "scores")
    done = []
    prepare_study(study, [*clips[:2], ListedClip(tmp_path / "later.mp4")], step=done.append)
    assert done == ["NAME00.mp4", "NAME01.mp4", "later.mp4"]
    (tmp_path / "later.mp4").write_bytes(clips[2].path.read_bytes())
    times = [(study.folder / c.file).stat().st_mtime_ns for c in study.clips() if c.file]
    prepare_study(RatingStudy(tmp_path / "study", "scores"), [*clips[:2], ListedClip(tmp_path / "later.mp4")])
    assert len(study.questions()) == 3
    assert [(study.folder / c.file).stat().st_mtime_ns for c in study.clips()][:2] == times
    with pytest.raises(ArgumentError, match="group_by"):
        prepare_study(study, clips, group_by="colour")


def test_a_clip_is_not_both_practice_and_rated_and_needs_a_group_to_be_compared(tmp_path):
    clips = dubs(tmp_path, groups=1, each=2)
    study = RatingStudy(tmp_path / "study", "pairs")
    with pytest.raises(ArgumentError, match=r"training: expected clips that are not rated, got NAME00.mp4"):
        prepare_study(study, clips, clips)
    prepare_study(study, [*clips, ListedClip(tmp_path / "silent0.mp4")])
    assert next(clip.reason for clip in study.clips() if clip.reason).endswith("say what candidates of a group share")
    assert len(study.questions()) == 1


@pytest.mark.parametrize("mode", ["scores", "pairs", "soundtracks"])
def test_a_clip_that_was_for_practice_is_rated_later_and_the_reverse(tmp_path, mode):
    clips = dubs(tmp_path, groups=2, each=2)
    study = RatingStudy(tmp_path / "study", mode)
    prepare_study(study, clips[:2], clips[2:])
    anna = study.person("Anna")
    names = [one.name for one in study.dimensions]

    def answer(task):
        if mode == "soundtracks":
            return {"best": task.clips[0].name}
        return dict.fromkeys(names, "tie") if mode == "pairs" else {task.clips[0].name: dict.fromkeys(names, 3.0)}

    while (place := study.progress(anna).place) is not None:
        task = study.task(anna, place)
        study.record(anna, task.key, answer(task))
    practised = {name for one in study.answers() if one.training for name in one.clips}
    assert practised == {str(one.path) for one in clips[2:]}
    prepare_study(study, clips[2:], clips[:2])
    assert [clip.name for clip in study.clips() if clip.training] == [str(one.path) for one in clips[:2]]
    assert all(one.training for one in study.answers())  # also those that were given when the clips were rated
    assert study.progress(anna).answered == 0
    while (place := study.progress(anna).place) is not None:
        task = study.task(anna, place)
        study.record(anna, task.key, answer(task))
    counted = {name for one in study.answers() if not one.training for name in one.clips}
    assert counted == {str(one.path) for one in clips[2:]}


def test_a_question_that_is_gone_stops_nobody(tmp_path):
    clips = dubs(tmp_path, groups=1, each=2)
    study = RatingStudy(tmp_path / "study", "scores")
    prepare_study(study, clips[:1], clips[1:])
    anna = study.person("Anna")
    assert study.task(anna, 1).training  # looked at, not answered
    prepare_study(study, clips)
    seen = []
    while (place := study.progress(anna).place) is not None:
        task = study.task(anna, place)
        seen.append(task.clips[0].name)
        study.record(anna, task.key, {seen[-1]: {one.name: 3.0 for one in study.dimensions}})
    assert sorted(seen) == sorted(str(one.path) for one in clips)
