"""Qwen2-Audio against transformers' own processor and model."""

from __future__ import annotations

import pytest
import torch
from tiny.checks import check_gradient, ids_of, parts_of, read
from tiny.qwen2_audio import tiny_qwen2_audio
from torch import Tensor

from avreward import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.raters.lmm.prompt import Slot

QUESTION = "Is it good?"


@pytest.fixture(scope="module")
def backbone():
    return tiny_qwen2_audio()


@pytest.fixture(scope="module")
def processor(backbone):
    from transformers import Qwen2AudioProcessor, WhisperFeatureExtractor

    return Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=128), backbone.tokenizer)


def noise(samples: int) -> Tensor:
    return 0.5 * torch.randn(samples, generator=torch.Generator().manual_seed(samples)).clamp(-1.9, 1.9)


def heard(sound: Tensor) -> Clip:
    return Clip(audio=sound, sample_rate=16000)


# 321 samples are the fewest that give a token; 1601 make eleven frames, the last of them in part.
@pytest.mark.parametrize("samples", [321, 1600, 1601, 16000, 50_001, 500_000])
def test_a_chat_is_read_as_by_the_library(backbone, processor, samples: int) -> None:
    sound = noise(samples)
    turns = [{"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    inputs = processor(text=text, audio=[sound.numpy()], sampling_rate=16000, return_tensors="pt")

    parts = parts_of(backbone, backbone.chat([Slot("audio"), QUESTION]), heard(sound))
    assert torch.equal(ids_of(parts, backbone.module.config.audio_token_id), inputs["input_ids"])
    expected = backbone.module.model(**inputs).last_hidden_state[0]
    torch.testing.assert_close(read(backbone, parts), expected, rtol=0, atol=1e-5)
    logits = backbone.module(**inputs).logits[0]
    torch.testing.assert_close(backbone.head(read(backbone, parts)), logits, rtol=0, atol=1e-5)


def test_the_spectrogram_is_that_of_the_library(backbone, processor) -> None:
    sound = noise(20_000)
    theirs = processor.feature_extractor(
        sound.numpy(), sampling_rate=16000, return_attention_mask=True, return_tensors="pt"
    )
    ours = backbone.load(heard(sound), "audio")
    torch.testing.assert_close(ours.values, theirs["input_features"][0], rtol=0, atol=1e-5)
    assert ours.frames == int(theirs["attention_mask"].sum())


def test_a_chat_without_sound_and_one_with_an_answer(backbone, processor) -> None:
    turns = [{"role": "user", "content": QUESTION}]
    asked = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert "".join(backbone.chat([QUESTION])) == asked
    assert "".join(backbone.chat([QUESTION], ["Yes"])) == asked + "Yes"
    turns.append({"role": "assistant", "content": "Yes"})
    answered = processor.apply_chat_template(turns, tokenize=False)
    assert "".join(backbone.chat([QUESTION], ["Yes"], closed=True)) == answered


def test_sounds_are_numbered_as_in_the_template(backbone, processor) -> None:
    turns = [{"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": "or"}, {"type": "audio"}]}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    told = backbone.chat([Slot("audio", 0), "or", Slot("audio", 1)])
    mark = "<|audio_bos|><|AUDIO|><|audio_eos|>"
    assert "".join(mark if isinstance(piece, Slot) else piece for piece in told) == text
    assert [piece.of for piece in told if isinstance(piece, Slot)] == [0, 1]


def test_what_comes_later_is_not_heard() -> None:
    short = tiny_qwen2_audio(max_seconds=0.5)
    sound = noise(16000)
    loaded = short.load(heard(sound), "audio")
    assert torch.equal(loaded.values, short.load(heard(sound[:8000]), "audio").values)
    assert loaded.frames == 50
    assert "the first 0.5 s" in short.settings["sound"]


@pytest.mark.parametrize("seconds", [0.0, 0.02, 30.1])
def test_a_window_out_of_range_is_named(seconds: float) -> None:
    with pytest.raises(ArgumentError, match=f"max_seconds: .* above 0.02 and at most 30, got {seconds}"):
        tiny_qwen2_audio(max_seconds=seconds)


@pytest.mark.parametrize("samples", [1, 320])
def test_sound_that_gives_no_token_is_an_error(backbone, samples: int) -> None:
    with pytest.raises(MediaError, match="too short"):
        backbone.load(heard(noise(samples)), "audio")


def test_stereo_at_another_rate_is_mixed_and_resampled(backbone) -> None:
    sound = noise(2 * 44100).reshape(2, 44100)
    loaded = backbone.load(Clip(audio=sound, sample_rate=44100), "audio")
    mono = Clip(audio=sound, sample_rate=44100).sound(16000, 1, "librosa")[0]
    assert torch.equal(loaded.values, backbone.load(heard(mono), "audio").values)


def test_gradients_agree_with_finite_differences() -> None:
    backbone = tiny_qwen2_audio(rounding="none")
    backbone.module.double()

    def tokens(sound: Tensor) -> Tensor:
        return backbone.encode("audio", backbone.load(heard(sound), "audio"))[1].values

    check_gradient(tokens, noise(3000), rtol=1e-4)


def test_half_precision_sound_and_network() -> None:
    backbone = tiny_qwen2_audio()
    sound = noise(8000).bfloat16()
    expected = backbone.encode("audio", backbone.load(heard(sound.float()), "audio"))[1].values
    backbone.module.bfloat16()
    values = backbone.encode("audio", backbone.load(heard(sound), "audio"))[1].values
    assert values.dtype == torch.bfloat16
    torch.testing.assert_close(values.float(), expected, rtol=0, atol=0.02)
