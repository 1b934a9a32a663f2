"""Language-model raters: questions, missing scores, and shared work, in memory and in files."""

from __future__ import annotations

import threading

import pytest
import torch
from lmm_checks import alone, check_alone, counted, film, picture, sound
from media_files import write
from torch import nn
from toy_backbone import ToyBackbone, toy_rater

from avreward import Clip, best_of_n
from avreward.errors import MediaError
from avreward.raters.lmm.prompt import Read, Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import Regression
from avreward.raters.scores import Dimension
from avreward.scoring.run import score_files


@pytest.fixture
def rater() -> LmmRater:
    return toy_rater()


# ---- what is asked


def test_what_a_question_needs() -> None:
    question = Question(
        ("x",), (Slot("audio"), "{prompt}", Slot("audio", 1), Read("{texts.speech}")), Regression(nn.Identity())
    )
    assert question.needs == {"audio", "prompt", "texts.speech"}


def test_what_a_rater_is(rater) -> None:
    assert rater.tracks == ("video", "audio")
    assert rater.prompt_anchored
    assert not rater.module.training
    assert not any(weight.requires_grad for weight in rater.module.parameters())
    assert rater.settings["attention"] == "sdpa"
    assert rater.settings["dtype"] == "float32"
    assert rater.settings["rounding"] == "straight_through"
    listening = LmmRater("l", rater.backbone, rater.questions[:1], rater.dimensions[:1])
    assert listening.tracks == ("audio",)
    assert not listening.prompt_anchored


def ways(backbone: ToyBackbone) -> LmmRater:
    """Two ways to ask about one dimension, of which the first needs more, and a question that gives two dimensions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        heads = [nn.Linear(32, rows, bias=False).requires_grad_(False) for rows in (1, 1, 2)]
    questions = [
        Question(("quality",), ("With {prompt}", Slot("audio")), Regression(heads[0])),
        Question(("quality",), ("Alone", Slot("audio")), Regression(heads[1])),
        Question(("quality", "second"), ("Both", Slot("audio")), Regression(heads[2])),
    ]
    dimensions = [Dimension(name, 0, 1, frozenset({"audio"})) for name in ("quality", "second")]
    return LmmRater("ways", backbone, questions, dimensions)


def test_the_first_way_to_ask_that_a_clip_allows_is_used() -> None:
    rater = ways(ToyBackbone())
    clip = Clip(**sound(1200))
    with_prompt = clip.with_prompt("a dog")
    scores = rater([clip, with_prompt])
    with torch.no_grad():
        for question, each, name, row in (
            (rater.questions[0], with_prompt, "quality", 1),
            (rater.questions[1], clip, "quality", 0),
            (rater.questions[2], clip, "second", 0),
        ):
            only = LmmRater("x", rater.backbone, [question], rater.dimensions[: len(question.dimensions)])
            expected = only([each])[name][0]
            torch.testing.assert_close(scores[name][row], expected, rtol=1e-4, atol=0)


def test_every_missing_score_has_a_reason(rater) -> None:
    clips = [
        Clip(**picture()),
        Clip(**sound()),
        Clip(prompt="a dog"),
        film(prompt=" \n"),
        film(prompt="a dog"),
    ]
    scores = rater(clips)
    check_alone(rater, clips, scores)
    no_prompt = "no prompt was given; pass prompt=… with the clip, or --prompt"
    assert scores.reasons[0]["av_consistency"] == "no audio was given"
    assert scores.reasons[0]["match"] == f"no audio was given; {no_prompt}"
    assert scores.reasons[2]["match"] == "no audio was given; no video was given"
    assert scores.reasons[3] == {"match": no_prompt}
    assert scores.reasons[4] == {}


def test_clips_without_any_score(rater) -> None:
    scores = rater([Clip(prompt="a dog")])
    assert scores.values.isnan().all()
    assert not scores.present.any()
    assert rater([]).values.shape == (0, 3)


def test_a_track_that_cannot_be_decoded(rater, monkeypatch) -> None:
    def fail(clip, track):
        if track == "video" and clip.prompt == "broken":
            raise MediaError("clip.mp4", "frame 3 doesn't decode", "give it again")
        return ToyBackbone.load(rater.backbone, clip, track)

    monkeypatch.setattr(rater.backbone, "load", fail)
    scores = rater([film(prompt="broken"), film(prompt="a dog")])
    assert scores.present.all(dim=1).tolist() == [False, True]
    assert not scores.present[0].any()
    assert set(scores.reasons[0].values()) == {"clip.mp4: frame 3 doesn't decode; give it again"}


def test_a_broken_network_is_an_error_not_a_missing_score(rater, monkeypatch) -> None:
    monkeypatch.setattr(rater.backbone, "encode", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rater([film()])


# ---- what clips share


def test_work_is_not_confused_by_clips_that_differ_in_one_track(rater) -> None:
    silent, other = Clip(**picture(6)), Clip(**picture(6, seed=1))
    one, two = sound(1200)["audio"], sound(1200, seed=1)["audio"]
    clips = [a.with_audio(b, 16000).with_prompt("a dog") for a in (silent, other) for b in (one, two)]
    scores = rater(clips)
    assert rater.backbone.calls == {"video": 2, "audio": 2}
    check_alone(rater, clips, scores)
    assert len(scores["av_consistency"].unique()) == 4


def test_sound_that_is_played_faster_is_another(rater) -> None:
    samples = sound(4000)["audio"]
    clips = [Clip(audio=samples, sample_rate=rate) for rate in (16000, 8000)]
    check_alone(rater, clips, rater(clips))
    assert rater.backbone.calls["audio"] >= 2


def test_no_gradients_are_lost_to_an_earlier_call_without_them(rater) -> None:
    clip = film()
    heard = clip.audio.requires_grad_()
    clip = clip.with_audio(heard, 16000)
    with torch.no_grad():
        rater([clip])
    assert torch.autograd.grad(rater([clip])["audio_quality"].sum(), heard)[0].any()


def test_several_threads_may_use_a_rater(rater) -> None:
    clips = [film(4 + i, seed=i, prompt="a dog") for i in range(4)]
    expected, found = rater(clips).values, {}

    def work(name: int) -> None:
        found[name] = rater(clips[name:] + clips[:name]).values

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, values in found.items():
        torch.testing.assert_close(values, expected.roll(-name, 0), rtol=1e-4, atol=0)
    assert len(found) == 4


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A silent video, and audio tracks for it."""
    folder = tmp_path_factory.mktemp("media")
    silent = write(folder / "silent.mp4", 30)
    sounds = [
        write(folder / f"dub{i}.wav", codec=None, sound="pcm_s16le", rate=16000, channels=1, seconds=0.4 + 0.2 * i)
        for i in range(5)
    ]
    return silent, sounds


def test_dubs_in_files_share_their_picture(rater, media) -> None:
    silent, sounds = media
    opened = Clip.open(silent, prompt="a dog")
    clips = [opened.with_audio(Clip.open(path)) for path in sounds]
    expected = torch.stack([torch.stack(list(alone(rater, clip).values())) for clip in clips])
    reward = rater["av_consistency"]
    order = expected[:, 1].argsort(descending=True).tolist()

    rater.backbone.calls.update(video=0, audio=0)
    with torch.no_grad(), counted(rater.backbone) as calls:
        picked = best_of_n(clips, reward)
    assert rater.backbone.calls == {"video": 1, "audio": 5}
    assert len(calls) <= 4
    assert list(picked.order) == order

    rater.backbone.calls.update(video=0, audio=0)
    for batch in (None, 2):
        scored = list(score_files(clips, reward, batch_size=batch))
        values = torch.cat([each.rewards.values for each in scored])
        torch.testing.assert_close(values, expected[:, 1], rtol=1e-4, atol=0)
    assert rater.backbone.calls == {"video": 2, "audio": 10}  # once in each run


def test_files_that_hold_one_video_share_it(rater, tmp_path) -> None:
    """Dubs that were muxed: the video packets are the same in all of them."""
    silent = Clip.open(write(tmp_path / "silent.mp4", 20))
    paths = []
    for i in range(3):
        silent.with_audio(sound(6000 + 1000 * i, seed=i)["audio"], 16000).save(tmp_path / f"dub{i}.mp4")
        paths.append(tmp_path / f"dub{i}.mp4")
    scored = list(score_files(paths, rater))
    assert rater.backbone.calls == {"video": 1, "audio": 3}
    for path, each in zip(paths, scored, strict=True):
        check_alone(rater, [Clip.open(path)], each.scores["toy"])


def test_one_bad_file_costs_one_row(rater, media, tmp_path) -> None:
    silent, sounds = media
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(silent.read_bytes()[:500])
    scored = list(score_files([silent, bad, sounds[0]], rater))
    assert [each.error is None for each in scored] == [True, False, True]
    assert scored[2].scores["toy"].present[0, 0]
    assert scored[0].scores["toy"].reasons[0]["audio_quality"] == "no sound track"
