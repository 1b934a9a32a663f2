"""Qwen2.5-Omni's thinker against transformers' own model, feature extractor and chat template."""

from __future__ import annotations

from math import ceil

import pytest
import torch
from tiny.checks import check_gradient, parts_of, read
from tiny.qwen_checks import clip_of, extracted, film, library_ids, noise, rendered
from tiny.qwen_omni import tiny_qwen2_5_omni
from tiny.qwen_templates import QWEN2_5_OMNI
from torch import Tensor

from avreward import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.lmm.prompt import Slot

QUESTION = "Is this audio and video properly matched?"


@pytest.fixture(scope="module")
def backbone():
    return tiny_qwen2_5_omni()


@pytest.mark.parametrize("tracks", [("video", "audio"), ("audio", "video"), ("video",), ("audio",)], ids="-".join)
def test_a_chat_is_read_as_by_the_library(backbone, tracks: tuple[str, ...]) -> None:
    clip = clip_of(frames=16, samples=30_000)
    parts = parts_of(backbone, backbone.chat([*map(Slot, tracks), QUESTION]), clip)
    config = backbone.module.config
    ids = library_ids(parts, config.video_token_id, config.audio_token_id)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "video" in tracks:
        seen = backbone.load(clip, "video")
        assert seen.grid == (2, 4, 6)
        inputs["pixel_values_videos"], inputs["video_grid_thw"] = seen.patches, torch.tensor([seen.grid])
        inputs["video_second_per_grid"] = torch.tensor([1.0])
    if "audio" in tracks:
        inputs |= extracted(clip.audio[0])

    expected = backbone.module(**inputs, output_hidden_states=True)
    hidden = read(backbone, parts)
    torch.testing.assert_close(hidden, expected.hidden_states[-1][0], rtol=0, atol=1e-5)
    torch.testing.assert_close(backbone.head(hidden), expected.logits[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("tracks", [("video", "audio"), ("audio",), ()], ids=str)
def test_the_chat_is_that_of_the_published_template(backbone, tracks: tuple[str, ...]) -> None:
    marks = {"video": "<|vision_bos|><|VIDEO|><|vision_eos|>", "audio": "<|audio_bos|><|AUDIO|><|audio_eos|>"}

    def text(*answer: str, closed: bool = False) -> str:
        pieces = backbone.chat([*map(Slot, tracks), QUESTION], answer, closed)
        return "".join(marks[piece.track] if isinstance(piece, Slot) else piece for piece in pieces)

    asked = rendered(backbone.tokenizer, QWEN2_5_OMNI, tracks, QUESTION)
    assert text() == asked
    assert text("Yes") == asked + "Yes"
    assert text("Yes", closed=True) == rendered(backbone.tokenizer, QWEN2_5_OMNI, tracks, QUESTION, "Yes")


# 1.6 s fill a window and 2 s are a whole one; 3.37 s end in the middle of one, with part of a frame
@pytest.mark.parametrize("samples", [321, 1600, 16_000, 25_601, 32_000, 53_921, 158_400])
def test_sound_is_encoded_as_by_the_library(backbone, samples: int) -> None:
    sound = noise(samples)
    start, tokens, end = backbone.encode("audio", backbone.load(Clip(audio=sound, sample_rate=16000), "audio"))
    assert (start, end) == ("<|audio_bos|>", "<|audio_eos|>")
    expected = backbone.module.get_audio_features(**extracted(sound)).last_hidden_state
    torch.testing.assert_close(tokens.values, expected, rtol=0, atol=1e-5)
    assert tokens.length == ((ceil(samples / 160) - 1) // 2 + 1 - 2) // 2 + 1


@pytest.mark.parametrize("samples", [20_000, 4_800_000, 4_810_000])
def test_the_spectrogram_is_that_of_the_published_window(backbone, samples: int) -> None:
    sound = noise(samples)
    expected = extracted(sound, seconds=300)
    spectrogram = backbone.load(Clip(audio=sound, sample_rate=16000), "audio")
    assert spectrogram.shape[1] == int(expected["feature_attention_mask"].sum())
    theirs = expected["input_features"][0, :, : spectrogram.shape[1]]
    torch.testing.assert_close(spectrogram, theirs, rtol=0, atol=1e-5)


def test_what_comes_later_is_not_heard() -> None:
    short = tiny_qwen2_5_omni(max_audio_seconds=9.9)
    sound = noise(200_000)
    sound[158_400:] *= 5  # a peak there would lift the floor of the whole spectrogram
    loaded = short.load(Clip(audio=sound, sample_rate=16000), "audio")
    assert loaded.shape == (128, 990)
    assert torch.equal(loaded, short.load(Clip(audio=sound[:158_400], sample_rate=16000), "audio"))
    assert "the first 9.9 s" in short.settings["sound"]


@pytest.mark.parametrize("samples", [1, 320])
def test_sound_that_gives_no_token_is_an_error(backbone, samples: int) -> None:
    with pytest.raises(MediaError, match=r"too short for Qwen2_5Omni; give 0.0201 s or more"):
        backbone.load(Clip(audio=noise(samples), sample_rate=16000), "audio")


@pytest.mark.parametrize("seconds", [0.0, 300.1])
def test_a_window_out_of_range_is_named(seconds: float) -> None:
    with pytest.raises(ArgumentError, match=f"max_audio_seconds: .* above 0 and at most 300, got {seconds}"):
        tiny_qwen2_5_omni(max_audio_seconds=seconds)


@pytest.mark.parametrize(
    ("frames", "size", "grid"),
    [(1, (50, 90), (1, 4, 6)), (3, (91, 47), (1, 6, 4)), (41, (30, 31), (5, 4, 6))],
    ids=["one frame", "portrait of odd size", "five seconds"],
)
def test_films_of_all_kinds(backbone, frames: int, size: tuple[int, int], grid: tuple[int, int, int]) -> None:
    clip = clip_of(frames, *size)
    start, tokens, end = backbone.encode("video", backbone.load(clip, "video"))
    assert (start, end) == ("<|vision_bos|>", "<|vision_eos|>")
    assert tokens.grid == (grid[0], grid[1] // 2, grid[2] // 2)
    assert tokens.length == grid[0] * grid[1] * grid[2] // 4
    assert tokens.values.isfinite().all()


def test_steps_last_a_second_whatever_the_frame_rule(backbone) -> None:
    slow = tiny_qwen2_5_omni(frames=QwenFrames(1.0))
    clip = clip_of(frames=64, height=30, width=30)
    counts = [b.encode("video", b.load(clip, "video"))[1] for b in (slow, backbone)]
    assert [tokens.grid[0] for tokens in counts] == [4, 8]
    assert [tokens.seconds for tokens in counts] == [1.0, 1.0]
    assert "QwenFrames(rate=1.0" in slow.settings["frames"]


@pytest.mark.parametrize("track", ["video", "audio"])
def test_gradients_agree_with_finite_differences(track: str) -> None:
    backbone = tiny_qwen2_5_omni(rounding="none")
    backbone.module.double()

    def tokens(at: Tensor) -> Tensor:
        clip = Clip(video=at, fps=8) if track == "video" else Clip(audio=at, sample_rate=16000)
        return backbone.encode(track, backbone.load(clip, track))[1].values

    if track == "audio":
        check_gradient(tokens, noise(3000), rtol=1e-4)
    else:  # the tower's norms are single precision whatever the weights are: a large step, over 36,000 values
        check_gradient(tokens, 0.8 * film(4, 50, 60) + 0.1, step=0.1, rtol=1e-3)


def test_half_precision_clip_and_network() -> None:
    backbone = tiny_qwen2_5_omni()
    clip = clip_of(samples=8000)
    half = Clip(video=clip.video.bfloat16(), fps=8, audio=clip.audio.bfloat16(), sample_rate=16000)
    full = Clip(video=half.video.float(), fps=8, audio=half.audio.float(), sample_rate=16000)
    expected = {track: backbone.encode(track, backbone.load(full, track))[1].values for track in backbone.tracks}
    backbone.module.bfloat16()
    for track in backbone.tracks:
        values = backbone.encode(track, backbone.load(half, track))[1].values
        assert values.dtype == torch.bfloat16
        torch.testing.assert_close(values.float(), expected[track], rtol=0, atol=0.03)
