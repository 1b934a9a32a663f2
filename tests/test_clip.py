"""Clips of tensors: what they take, what they refuse, and that gradients pass."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import frames, remux, tones, write

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.group import Group
from avreward.media.resampling import resample
from avreward.media.sampling import AllFrames, FramePlan, Spread

VIDEO = frames(6, 20, 30)
WAVE = torch.from_numpy(tones(0.5, 16000, 2))


def test_a_clip_tells_what_it_holds() -> None:
    clip = Clip(video=VIDEO, fps=12, audio=WAVE, sample_rate=16000, prompt="rain", texts={"sound": "drops"})
    assert (clip.has_video, clip.has_audio, dict(clip.missing)) == (True, True, {})
    assert (clip.height, clip.width, clip.channels, clip.sample_rate) == (20, 30, 2, 16000)
    assert clip.times.dtype == torch.float64
    assert torch.equal(clip.times, torch.arange(6, dtype=torch.float64) / 12)
    assert clip.seconds == pytest.approx(0.5)
    assert clip.fps == pytest.approx(12)
    assert (clip.name, clip.path, clip.prompt, dict(clip.texts)) == ("<tensor>", None, "rain", {"sound": "drops"})
    assert torch.equal(clip.video, VIDEO)
    assert torch.equal(clip.audio, WAVE)
    assert "6 frames" in repr(clip)
    assert "2 channels at 16000 Hz" in repr(clip)
    assert "1 channel at 8000 Hz" in repr(Clip(audio=torch.zeros(1, 80), sample_rate=8000))


def test_some_of_it_may_be_absent() -> None:
    silent, blind, text = Clip(video=VIDEO, fps=5), Clip(audio=WAVE[0], sample_rate=8000), Clip(prompt="rain")
    assert dict(silent.missing) == {"audio": "no audio was given"}
    assert blind.channels == 1
    assert (blind.fps, blind.seconds) == (None, 1.0)
    assert set(text.missing) == {"video", "audio"}
    assert text.seconds == 0
    for use in (silent.sound, lambda: blind.video, lambda: blind.times, lambda: text.sample_rate):
        with pytest.raises(MediaError, match="was given"):
            use()
    assert Clip(video=VIDEO[:1], fps=4).seconds == 0.25
    assert Clip(video=VIDEO[:1], times=torch.tensor([0.5])).fps is None


def test_variable_times() -> None:
    clip = Clip(video=VIDEO, times=torch.tensor([0, 1, 2, 4, 5, 9.0]))
    assert clip.seconds == 10
    assert clip.fps == 1
    assert torch.equal(Clip(video=VIDEO, times=[0, 1, 2, 4, 5, 9]).times, clip.times)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        ({"video": VIDEO * 255, "fps": 5}, "video", "divide by 255"),
        ({"video": (VIDEO * 255).to(torch.uint8), "fps": 5}, "video", "divide by 255"),
        ({"video": VIDEO * 2 - 1, "fps": 5}, "video", "(video + 1) / 2"),
        ({"video": VIDEO * 3, "fps": 5}, "video", "outside"),
        ({"video": VIDEO.permute(0, 2, 3, 1), "fps": 5}, "video", "permute(0, 3, 1, 2)"),
        ({"video": VIDEO.transpose(0, 1), "fps": 5}, "video", "transpose(0, 1)"),
        ({"video": VIDEO[:, :1], "fps": 5}, "video", "(frames, 3, height, width)"),
        ({"video": VIDEO[0], "fps": 5}, "video", "(3, 20, 30)"),
        ({"video": VIDEO[None], "fps": 5}, "video", "batch"),
        ({"video": VIDEO[:0], "fps": 5}, "video", "empty"),
        ({"video": VIDEO.clone().fill_(float("nan")), "fps": 5}, "video", "NaN"),
        ({"video": VIDEO.clone().fill_(float("-inf")), "fps": 5}, "video", "infinity"),
        ({"audio": WAVE.T, "sample_rate": 8000}, "audio", "audio.T"),
        ({"audio": WAVE[None], "sample_rate": 8000}, "audio", "batch"),
        ({"audio": WAVE[0, 0], "sample_rate": 8000}, "audio", "(channels, samples)"),
        ({"audio": WAVE[:, :0], "sample_rate": 8000}, "audio", "empty"),
        ({"audio": WAVE * 32768, "sample_rate": 8000}, "audio", "divide by 32768"),
        ({"audio": (WAVE * 32768).short(), "sample_rate": 8000}, "audio", "divide by 32768"),
        ({"audio": WAVE / 0, "sample_rate": 8000}, "audio", "NaN"),
    ],
)
def test_tensors_that_it_refuses_are_named_with_a_remedy(given: dict[str, Any], named: str, words: str) -> None:
    with pytest.raises(MediaError) as caught:
        Clip(**given)
    assert caught.value.source == named
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "Clip: expected video, audio or a text, got nothing; for a file use Clip.open(path)"),
        ({"video": VIDEO}, "fps, times: expected one of the two with video, got neither"),
        ({"video": VIDEO, "fps": 5, "times": torch.arange(6)}, "fps, times: expected one of the two with video, got b"),
        ({"video": VIDEO, "fps": 0}, "fps: expected the frames per second of video, a positive number, got 0"),
        ({"video": VIDEO, "fps": float("nan")}, "fps: expected the frames per second of video, a positive number, got"),
        ({"video": VIDEO, "times": torch.arange(5)}, "times: expected one display time in seconds per frame, got shap"),
        ({"video": VIDEO, "times": torch.tensor([0, 1, 1, 2, 3, 4])}, "times: expected display times in seconds that"),
        ({"video": VIDEO, "times": torch.tensor([0, float("nan"), 2, 3, 4, 5])}, "times: expected display times in se"),
        ({"video": VIDEO, "times": torch.arange(6) - 1}, "times: expected display times in seconds that ascend from 0"),
        ({"fps": 5}, "fps: expected nothing without video, got 5; pass video too, or leave fps out"),
        ({"times": torch.arange(5)}, "times: expected nothing without video, got a Tensor of shape (5,)"),
        ({"sample_rate": 5}, "sample_rate: expected nothing without audio, got 5; pass audio too"),
        ({"video": VIDEO.numpy(), "fps": 5}, "video: expected a tensor, got a ndarray; use torch.as_tensor"),
        ({"audio": [0.0], "sample_rate": 5}, "audio: expected a tensor, got a list; use torch.as_tensor"),
        ({"audio": WAVE}, "sample_rate: expected a positive integer, the sample rate of audio in Hz, got None"),
        ({"audio": WAVE, "sample_rate": 0}, "sample_rate: expected a positive integer, the sample rate of audio in Hz"),
        ({"audio": WAVE, "sample_rate": 440.5}, "sample_rate: expected a positive integer, the sample rate of audio i"),
        ({"prompt": 5}, "prompt: expected a str, got 5"),
        ({"prompt": "x", "texts": {"a": 1}}, "texts: expected a mapping of str to str, got {'a': 1}"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_with_what_was_expected(given: dict[str, Any], error: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Clip(**given)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_are_kept_as_they_are(dtype: torch.dtype) -> None:
    video = (VIDEO * 1.8 - 0.4).to(dtype).requires_grad_()  # decoders overshoot
    audio = (WAVE * 20).to(dtype).requires_grad_()  # so do mixes
    clip = Clip(video=video, fps=5, audio=audio, sample_rate=16000)
    assert clip.video is video
    assert clip.audio is audio
    for plan in (FramePlan(Spread(2)), FramePlan(Spread(2), max_side=15), FramePlan(Spread(2), crop=8)):
        assert clip.frames(plan).dtype == dtype
        assert clip.frames(plan).requires_grad
    assert clip.sound(8000, 1).dtype == dtype


@settings(max_examples=12, deadline=None)
@given(
    size=st.one_of(
        st.just({}),
        st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda size: {"size": size}),
        st.integers(1, 9).map(lambda side: {"max_side": side}),
        st.integers(1, 9).map(lambda side: {"crop": side}),
    ),
    rate=st.sampled_from([50, 80, 100, 160]),
    channels=st.integers(1, 2),
)
def test_gradients_pass_from_frames_and_sound_to_tensors(size: dict[str, Any], rate: int, channels: int) -> None:
    plan = FramePlan(Spread(2), **size)
    generator = torch.Generator().manual_seed(1)
    video = torch.rand(4, 3, 6, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    audio = (torch.rand(2, 60, dtype=torch.float64, generator=generator) - 0.5).requires_grad_()
    clip = Clip(video=video, fps=5, audio=audio, sample_rate=100)
    weights = [
        torch.randn(x.shape, dtype=torch.float64, generator=generator)
        for x in (clip.frames(plan), clip.sound(rate, channels))
    ]

    def value(pixels: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        made = Clip(video=pixels, fps=5, audio=samples, sample_rate=100)
        return (made.frames(plan) * weights[0]).sum() + (made.sound(rate, channels) * weights[1]).sum()

    gradients = torch.autograd.grad(value(video, audio), (video, audio))
    steps = [torch.randn(x.shape, dtype=torch.float64, generator=generator) * 1e-6 for x in (video, audio)]
    with torch.no_grad():
        change = value(video + steps[0], audio + steps[1]) - value(video - steps[0], audio - steps[1])
    expected = 2 * sum((gradient * step).sum() for gradient, step in zip(gradients, steps, strict=True))
    assert float(change) == pytest.approx(float(expected), rel=1e-4, abs=1e-10)


def test_sound_is_mixed_and_resampled() -> None:
    clip = Clip(audio=WAVE, sample_rate=16000)
    assert torch.equal(clip.sound(channels=1), WAVE.mean(0, keepdim=True))
    assert torch.equal(clip.sound(8000), resample(WAVE, 16000, 8000))
    assert torch.allclose(clip.sound(8000, 1), resample(WAVE.mean(0, keepdim=True), 16000, 8000), atol=1e-6)


@pytest.mark.parametrize(
    ("rate", "channels"), [(0, None), (-1, None), (44100.5, None), (None, 0), (None, 3), (None, -1)]
)
def test_sound_asked_for_at_a_nonsense_rate(tmp_path: Path, rate: Any, channels: Any) -> None:
    for clip in (
        Clip(audio=WAVE, sample_rate=16000),
        Clip.open(write(tmp_path / "x.wav", codec=None, sound="pcm_s16le")),
    ):
        with pytest.raises(MediaError if channels == 3 else ArgumentError):  # no rule makes three channels
            clip.sound(rate, channels)


def test_work_is_shared_by_value_but_not_between_graphs() -> None:
    first, second = (Clip(video=VIDEO.clone(), fps=5, audio=WAVE.clone(), sample_rate=16000) for _ in range(2))
    for track in ("video", "audio"):
        assert first.work_key(track) == second.work_key(track)
    learned = [VIDEO.clone().requires_grad_() for _ in range(2)]
    clips = [Clip(video=video, fps=5) for video in (*learned, learned[0])]
    keys = [clip.work_key("video") for clip in clips]
    assert keys[0] == keys[2]
    assert hash(keys[0]) == hash(keys[2])
    assert len({keys[0], keys[1], first.work_key("video")}) == 3
    assert clips[0].keys["video"] == clips[1].keys["video"] == first.keys["video"]
    assert Clip(video=learned[0] * 1, fps=5).work_key("video") != keys[0]
    assert Clip(prompt="x").work_key("prompt") == Clip(prompt="x").keys["prompt"]


def test_another_sound_or_prompt_keeps_the_rest(tmp_path: Path) -> None:
    video = Clip.open(write(tmp_path / "v.mp4", sound="aac"), prompt="rain", texts={"sound": "drops"})
    silent = remux(tmp_path / "v.mp4", tmp_path / "s.mp4", lambda _, packet: None if packet.stream_index else packet)
    key, sound_key = video.keys["video"], video.keys["audio"]
    for dub in (
        video.with_audio(WAVE, 16000),
        video.with_audio(WAVE[0], sample_rate=16000),
        video.with_audio(Clip(audio=WAVE, sample_rate=16000)),
        Clip.open(silent).with_audio(Clip.open(write(tmp_path / "d.wav", codec=None, sound="pcm_s16le"))),
    ):
        assert dub.keys["video"] == key
        assert dub.keys["audio"] != sound_key
        assert dub.has_audio
        assert "audio" not in dub.missing
    dub = video.with_audio(WAVE, 16000)
    assert torch.equal(dub.audio, WAVE)
    assert (dub.prompt, dub.texts["sound"], dub.path) == ("rain", "drops", video.path)
    assert video.keys["audio"] == sound_key  # clips don't change
    other = video.with_prompt("snow")
    assert (other.prompt, video.prompt, other.texts["sound"]) == ("snow", "rain", "drops")
    assert dict(other.keys) | {"prompt": ""} == dict(video.keys) | {"prompt": ""}
    assert dict(video.with_prompt("snow", {"a": "b"}).texts) == {"a": "b"}
    with pytest.raises(ArgumentError, match=r"sample_rate: expected a positive integer, .*, got None"):
        video.with_audio(WAVE)
    with pytest.raises(ArgumentError, match=r"sample_rate: expected nothing beside a clip, .*, got 16000; leave"):
        video.with_audio(dub, 16000)
    with pytest.raises(MediaError, match="no audio was given"):
        dub.with_audio(Clip(prompt="x"))


def test_groups_hold_candidates_of_one_condition(tmp_path: Path) -> None:
    silent = Clip(video=VIDEO, fps=5)
    dubs = [silent.with_audio(WAVE * level, 16000) for level in (0.1, 0.2)]
    group = Group(silent, dubs)
    assert group.candidates == tuple(dubs)
    assert group.condition is silent
    stranger = Clip(video=VIDEO.flip(0), fps=5, audio=WAVE, sample_rate=16000)
    with pytest.raises(
        ArgumentError, match=r"candidates\[2\] .*: expected the video of the condition, got another vid"
    ):
        Group(silent, [*dubs, stranger])
    with pytest.raises(ArgumentError, match=r"candidates\[0\] .*: expected the prompt of the condition, got no prompt"):
        Group(Clip(prompt="rain"), dubs)
    Group(Clip(prompt="rain"), [dub.with_prompt("rain") for dub in dubs])
    with pytest.raises(ArgumentError, match=r"candidates: expected at least one clip, got \[\]"):
        Group(silent, [])
    file = write(tmp_path / "named.mp4")
    with pytest.raises(ArgumentError, match=r"named\.mp4"):
        Group(silent, [Clip.open(file)])


def test_clips_travel_between_processes(tmp_path: Path) -> None:
    file = Clip.open(write(tmp_path / "v.mp4", sound="aac"), prompt="rain")
    tensor = Clip(video=VIDEO, fps=5, audio=WAVE, sample_rate=16000)
    for clip in (file, tensor):
        for twin in (pickle.loads(pickle.dumps(clip)), copy.deepcopy(clip)):
            assert dict(twin.keys) == dict(clip.keys)
            assert torch.equal(twin.frames(FramePlan(AllFrames())), clip.video)
            assert torch.equal(twin.audio, clip.audio)


def test_opening_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "v.mp4", sound="aac")
    monkeypatch.setattr("avreward.media._video.seek._Walk.frame", None)
    monkeypatch.setattr("avreward.media._audio.clock._decoded", None)
    clip = Clip.open(file)
    assert (len(clip.times), clip.seconds, clip.sample_rate, clip.fps) == (
        12,
        pytest.approx(1.2),
        48000,
        pytest.approx(10),
    )


@pytest.mark.parametrize("rate", [None, 8000])
def test_spans_are_parts_of_the_sound(tmp_path: Path, rate: int | None) -> None:
    audio = torch.randn(2, 3 * 16_000, generator=torch.Generator().manual_seed(0)).clamp(-1, 1) / 2
    made = Clip(audio=audio, sample_rate=16_000)
    made.save(tmp_path / "a.wav")
    for clip in (made, Clip.open(tmp_path / "a.wav")):
        whole, hertz = clip.sound(rate, 1), rate or 16_000
        parts = clip.spans([(0.0, 0.5), (0.25, 1.0), (2.5, 9.0), (5.0, 6.0)], rate, 1)
        edges = [(0, 0.5), (0.25, 1.0), (2.5, 3.0), (3.0, 3.0)]
        for part, (start, stop) in zip(parts, edges, strict=True):
            assert torch.equal(part, whole[:, round(start * hertz) : round(stop * hertz)])
    assert made.spans([]) == []


@pytest.mark.parametrize("wrong", [None, 3, b"a.mp4"])
def test_a_path_of_a_wrong_type(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="path: expected the path of a file, got"):
        Clip.open(wrong)


def test_texts_of_a_wrong_type() -> None:
    with pytest.raises(ArgumentError, match="texts: expected a mapping of str to str, got 3"):
        Clip(texts=3)  # type: ignore[arg-type]
