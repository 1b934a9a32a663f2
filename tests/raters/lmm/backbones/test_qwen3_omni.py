"""Qwen3-Omni's thinker against transformers' own model and feature extractor."""

from __future__ import annotations

import pytest
import torch
from tiny.checks import check_gradient, parts_of
from tiny.qwen_checks import clip_of, extracted, film, library_ids, noise, read_deep, rendered
from tiny.qwen_omni import tiny_qwen3_omni
from tiny.qwen_templates import QWEN3
from torch import Tensor

from avreward import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.raters.lmm.prompt import Slot

QUESTION = "Is this audio and video properly matched?"
AS_PUBLISHED = {"padding": True, "truncation": False}  # audio_kwargs of Qwen3OmniMoeProcessor


@pytest.fixture(scope="module")
def backbone():
    return tiny_qwen3_omni()


@pytest.mark.parametrize("tracks", [("video", "audio"), ("audio", "video"), ("video",), ("audio",)], ids="-".join)
def test_a_chat_is_read_as_by_the_library(backbone, tracks: tuple[str, ...]) -> None:
    clip = clip_of(frames=24, samples=30_000)
    parts = parts_of(backbone, backbone.chat([*map(Slot, tracks), QUESTION]), clip)
    config = backbone.module.config
    ids = library_ids(parts, config.video_token_id, config.audio_token_id)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "video" in tracks:
        seen = backbone.load(clip, "video")
        assert seen.grid == (3, 4, 6)
        inputs["pixel_values_videos"], inputs["video_grid_thw"] = seen.patches, torch.tensor([seen.grid])
        inputs["video_second_per_grid"] = torch.tensor([2.0])
    if "audio" in tracks:
        inputs |= extracted(clip.audio[0], **AS_PUBLISHED)

    hidden = read_deep(backbone, parts)
    expected = backbone.module(**inputs)
    torch.testing.assert_close(backbone.head(hidden), expected.logits[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("frames", "sound_first"), [(60, False), (337, True), (1, False)])
def test_positions_are_those_of_the_library(backbone, frames: int, sound_first: bool) -> None:
    clip = clip_of(frames=40, samples=160 * frames + 100)
    slots = [Slot("audio"), Slot("video")] if sound_first else [Slot("video"), Slot("audio")]
    parts = parts_of(backbone, backbone.chat([*slots, QUESTION]), clip)
    config = backbone.module.config
    ids = library_ids(parts, config.video_token_id, config.audio_token_id)
    owner = backbone.module if hasattr(backbone.module, "audio_tower") else backbone.module.model
    expected, _ = owner.get_rope_index(
        ids,
        video_grid_thw=torch.tensor([backbone.load(clip, "video").grid]),
        attention_mask=torch.ones_like(ids),
        audio_seqlens=torch.tensor([frames]),
        second_per_grids=torch.tensor([2.0]),
    )
    assert torch.equal(backbone.positions(parts).float(), expected[:, 0])


# 1 s is a chunk of the encoder; 8 s are one window of attention
@pytest.mark.parametrize("samples", [201, 1600, 16_000, 53_921, 128_000, 158_400])
def test_sound_is_encoded_as_by_the_library(backbone, samples: int) -> None:
    sound = noise(samples)
    spectrogram = backbone.load(Clip(audio=sound, sample_rate=16000), "audio")
    theirs = extracted(sound, **AS_PUBLISHED)
    torch.testing.assert_close(spectrogram, theirs["input_features"][0], rtol=0, atol=1e-5)
    assert spectrogram.shape[1] == int(theirs["feature_attention_mask"].sum())
    start, tokens, end = backbone.encode("audio", spectrogram)
    assert (start, end) == ("<|audio_start|>", "<|audio_end|>")
    expected = backbone.module.get_audio_features(**theirs).last_hidden_state
    torch.testing.assert_close(tokens.values, expected, rtol=0, atol=1e-5)


def test_what_comes_later_is_not_heard() -> None:
    short = tiny_qwen3_omni(max_audio_seconds=2.5)
    sound = noise(60_000)
    loaded = short.load(Clip(audio=sound, sample_rate=16000), "audio")
    assert torch.equal(loaded, short.load(Clip(audio=sound[:40_000], sample_rate=16000), "audio"))
    tiny_qwen3_omni(max_audio_seconds=2400.0)
    with pytest.raises(ArgumentError, match="max_audio_seconds: expected a number above 0, got 0"):
        tiny_qwen3_omni(max_audio_seconds=0)


def test_sound_that_gives_no_token_is_an_error(backbone) -> None:
    with pytest.raises(MediaError, match=r"too short for Qwen3Omni; give 0.0126 s or more"):
        backbone.load(Clip(audio=noise(200), sample_rate=16000), "audio")


@pytest.mark.parametrize("tracks", [("video", "audio"), ("audio",), ()], ids=str)
def test_the_chat_adds_no_system_turn(backbone, tracks: tuple[str, ...]) -> None:
    marks = {
        "video": "<|vision_start|><|video_pad|><|vision_end|>",
        "audio": "<|audio_start|><|audio_pad|><|audio_end|>",
    }

    def text(*answer: str, closed: bool = False) -> str:
        pieces = backbone.chat([*map(Slot, tracks), QUESTION], answer, closed)
        return "".join(marks[piece.track] if isinstance(piece, Slot) else piece for piece in pieces)

    assert text() == rendered(backbone.tokenizer, QWEN3, tracks, QUESTION)
    assert text("Yes", closed=True) == rendered(backbone.tokenizer, QWEN3, tracks, QUESTION, "Yes")


@pytest.mark.parametrize("frames", [1, 3, 41])
def test_films_of_all_kinds(backbone, frames: int) -> None:
    start, tokens, end = backbone.encode("video", backbone.load(clip_of(frames, 91, 47), "video"))
    assert (start, end) == ("<|vision_start|>", "<|vision_end|>")
    assert tokens.grid == (max(1, frames // 8), 3, 2)
    assert [layer.shape for layer in tokens.deep] == [tokens.values.shape] * 2
    assert tokens.seconds == 2.0


@pytest.mark.parametrize("track", ["video", "audio"])
def test_gradients_agree_with_finite_differences(track: str) -> None:
    backbone = tiny_qwen3_omni(rounding="none")
    backbone.module.double()

    def tokens(at: Tensor) -> Tensor:
        clip = Clip(video=at, fps=8) if track == "video" else Clip(audio=at, sample_rate=16000)
        found = backbone.encode(track, backbone.load(clip, track))[1]
        return torch.cat([found.values, *found.deep])

    if track == "audio":
        check_gradient(tokens, noise(3000), rtol=1e-4)
    else:  # the tower rotates in single precision whatever the weights are: a large step, over 36,000 values
        check_gradient(tokens, 0.8 * film(4, 50, 60) + 0.1, step=0.1, rtol=1e-3)
