"""AVBench whole: ten judges from tiny folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from tiny.avbench_audio import tiny_audiobox, tiny_df_arena, write_tiny_nisqa, write_tiny_whisper
from tiny.avbench_video import tiny_syncnet, write_tiny_aesthetic, write_tiny_syncnet
from tiny.dover import VIEWS, tiny_dover
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_omni import tiny_qwen2_5_omni

from avreward import Clip, load_rater
from avreward.errors import ArgumentError
from avreward.media._audio import clock
from avreward.media._video import seek
from avreward.raters import AvBenchRater
from avreward.raters.avbench import FaceTracks
from avreward.raters.avbench._card import DIMENSIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("avbench")
    omni, audio = tiny_qwen2_5_omni(), tiny_qwen2_audio()
    for backbone, name in ((omni, "audio_video"), (omni, "video_text"), (audio, "audio_text")):
        backbone.module.save_pretrained(place / name)
        backbone.tokenizer.save_pretrained(place / name)
    write_tiny_syncnet(place / "lip_sync")
    write_tiny_whisper(place / "speech_content")
    tiny_df_arena().save_pretrained(place / "speech_realism")
    write_tiny_nisqa(place / "speech_quality")
    tiny_audiobox().save_pretrained(place / "audio_aesthetics")
    tiny_dover("dover++", VIEWS).save_pretrained(place / "video_technical")
    write_tiny_aesthetic(place / "video_aesthetic")
    return place


def clip_of(seconds: float = 1.2, **options) -> Clip:
    video = torch.rand(int(10 * seconds), 3, 56, 56, generator=torch.Generator().manual_seed(0))
    audio = 0.3 * torch.randn(1, int(16000 * seconds), generator=torch.Generator().manual_seed(1))
    texts = {"audio_prompt": "A dog barks.", "speech": "Good dog."}
    tracks = {"video": video, "fps": 10, "audio": audio, "sample_rate": 16000, "prompt": "A dog.", "texts": texts}
    return Clip(**{**tracks, **options})


@pytest.fixture(scope="module")
def rater(folder) -> AvBenchRater:
    return load_rater(folder)


@torch.no_grad()
def test_all_ten_dimensions_have_the_scores_of_their_raters(rater, folder) -> None:
    clip = clip_of()
    scores = rater([clip])
    assert scores.names == tuple(dimension.name for dimension in DIMENSIONS)
    assert scores.present.all(), scores.reasons
    for name, theirs in (
        ("lip_sync", "lip_sync"),
        ("speech_quality", "speech_quality"),
        ("video_technical", "overall"),
    ):
        torch.testing.assert_close(scores[name], load_rater(folder / name)([clip])[theirs])


@torch.no_grad()
def test_a_judge_that_cannot_rate_a_clip_leaves_the_others_alone(rater) -> None:
    scores = rater([clip_of(0.2), clip_of(audio=None, sample_rate=None), clip_of(texts={}, video=None, fps=None)])
    missing = [[name for name, there in zip(scores.names, row, strict=True) if not there] for row in scores.present]
    audio = {"speech_content", "speech_realism", "speech_quality", "audio_aesthetics"}
    assert missing[0] == ["lip_sync"]
    assert "0.20 s of video are too short" in scores.reasons[0]["lip_sync"]
    assert set(missing[1]) == {"audio_video", "audio_text", "lip_sync", *audio}
    assert set(missing[2]) == set(scores.names) - (audio - {"speech_content"})


def test_gradients_follow_the_streams_of_each_judge(rater) -> None:
    video, audio = clip_of().video.requires_grad_(), clip_of().audio.requires_grad_()
    joint = clip_of(video=video, audio=audio)
    for name, moved in (("lip_sync", "av"), ("speech_quality", "a"), ("video_aesthetic", "v")):
        video.grad = audio.grad = None
        rater[name]([joint]).sum().backward()
        assert {key for key, leaf in (("a", audio), ("v", video)) if leaf.grad is not None and leaf.grad.any()} == set(
            moved
        )
    assert not rater.dimension("speech_content").streams


def test_the_audio_is_decoded_once_for_its_judges(rater, monkeypatch) -> None:
    calls: list[tuple] = []
    own = Clip.sound
    monkeypatch.setattr(Clip, "sound", lambda self, *args: (calls.append(args), own(self, *args))[1])
    rater.load(clip_of())
    assert len(calls) <= 4  # one for the four judges of audio alone, one for SyncNet, and two for the language models


def test_any_rater_with_the_range_of_a_dimension_will_do() -> None:
    rater = AvBenchRater(raters={"video_technical": (tiny_dover("dover++"), "technical"), "lip_sync": tiny_syncnet()})
    with torch.no_grad():
        scores = rater([clip_of()])
    assert scores.present[0].sum() == 2
    assert rater.tracks == ("video", "audio")
    assert rater.fingerprint != AvBenchRater(raters={"lip_sync": tiny_syncnet()}).fingerprint
    with pytest.raises(ArgumentError, match="video_technical: expected scores from 0 to 100, got"):
        AvBenchRater(raters={"video_technical": tiny_dover()})
    with pytest.raises(ArgumentError, match=r"raters: expected one of .*, got 'lips'"):
        AvBenchRater(raters={"lips": tiny_syncnet()})


@torch.no_grad()
def test_a_file_is_decoded_once_for_all_judges_and_scores_stay(rater, folder, tmp_path, monkeypatch) -> None:
    clip_of(1.6).save(tmp_path / "clip.mp4")
    counts: Counter[str] = Counter()
    for module in (seek, clock):
        own = module.reading

        def opened(*args, own=own, name=module.__name__):
            counts[name] += 1
            return own(*args)

        monkeypatch.setattr(module, "reading", opened)
    advance = seek._Walk._advance

    def decoded(walk):
        counts["frames"] += (there := advance(walk))
        return there

    monkeypatch.setattr(seek._Walk, "_advance", decoded)
    texts = {"audio_prompt": "A dog barks.", "speech": "Good dog."}
    clip = Clip.open(tmp_path / "clip.mp4", prompt="A dog.", texts=texts)
    assert clip.keys["video"]  # which looks at the first frame for its orientation
    counts.clear()
    together = rater([clip])
    assert together.present.all(), together.reasons
    assert counts == {seek.__name__: 1, clock.__name__: 1, "frames": len(clip.times)}
    for name, (judge, theirs) in rater.parts.items():
        assert torch.equal(together[name], judge([clip])[theirs].to(together.values)), name
    assert counts[seek.__name__] > 4


NETWORKS_OF_AUDIO = ("speech_realism", "speech_quality", "audio_aesthetics")
TONES = torch.arange(1, 5)[:, None] * 220 * torch.pi * torch.arange(19200) / 8000
BAD_INPUT = {
    "music alone": ({"audio": 0.1 * TONES.sin().sum(0)[None]}, {}),
    "speech for nobody": ({"texts": {"audio_prompt": "Rain."}}, {"speech_content": "no texts.speech was given"}),
    "an empty utterance": (
        {"texts": {"audio_prompt": "A dog barks.", "speech": " "}}, {"speech_content": "no texts.speech was given"}
    ),
    "no words in it": (
        {"texts": {"audio_prompt": "A dog barks.", "speech": "… !"}}, {"speech_content": "holds no words: '… !'"}
    ),
    "a foreign script": ({"texts": {"audio_prompt": "犬が吠える。", "speech": "良い犬ですね。"}}, {}),
    "silence": (
        {"audio": torch.zeros(1, 19200)}, dict.fromkeys(("lip_sync", *NETWORKS_OF_AUDIO), "silent throughout")
    ),
    "0.3 s of speech": ({"audio": clip_of().audio[:, :4800]}, {}),
    "0.1 s of speech": (
        {"audio": clip_of().audio[:, :1600]}, {"lip_sync": "0.10 s of audio are too short", "speech_quality": "0.14 s"}
    ),
}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("kind", BAD_INPUT)
def test_bad_input_is_missing_with_a_reason_or_has_the_documented_value(rater, kind) -> None:
    changes, missing = BAD_INPUT[kind]
    scores = rater([clip_of(**changes)])
    assert {name for name, there in zip(scores.names, scores.present[0], strict=True) if not there} == set(missing)
    for name, why in missing.items():
        assert why in scores.reasons[0][name]
    assert scores.values[scores.present].isfinite().all()
    if kind == "silence":
        assert scores["speech_content"].item() == 20  # an empty transcript: nothing was made up


@torch.no_grad()
@pytest.mark.parametrize(
    ("faces", "why"), [((), "no face"), (((2, 2, 30, 30), (20, 20, 54, 54)), "two of them at the same time")]
)
def test_no_face_and_several_faces_leave_the_other_judges_alone(faces, why) -> None:
    def detector(frames):
        return [torch.tensor(faces).reshape(-1, 4).float() for _ in frames]

    lips = tiny_syncnet(faces=detector, following=FaceTracks(least_frames=3, least_side=8))
    scores = AvBenchRater(raters={"lip_sync": lips, "speech_realism": tiny_df_arena()})([clip_of()])
    assert scores.present[0].sum() == 1
    assert why in scores.reasons[0]["lip_sync"]
