"""AVBench has FFmpeg write a 16-bit WAV file for its evaluators: their scores are those of such a file."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny.avbench_audio import tiny_audiobox, tiny_df_arena, tiny_nisqa, tiny_whisper
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_omni import tiny_qwen2_5_omni

from avreward import Clip
from avreward.raters import Rater
from avreward.raters.avbench import AvBenchRater, SpeechContentRater
from avreward.raters.avbench.rater import LOOK

RATE = 16000


def whispering(rounding: str) -> Rater:
    whisper = tiny_whisper()
    return SpeechContentRater(whisper.module, whisper.tokenizer, rounding)  # type: ignore[arg-type]


def omni(rounding: str) -> Rater:
    return AvBenchRater(audio_video=tiny_qwen2_5_omni(rounding, **LOOK["audio_video"]))


def audio_text(rounding: str) -> Rater:
    return AvBenchRater(audio_text=tiny_qwen2_audio(rounding, **LOOK["audio_text"]))


MAKE: dict[str, Callable[[str], Rater]] = {
    "speech_quality": lambda rounding: tiny_nisqa(rounding=rounding),
    "audio_aesthetics": lambda rounding: tiny_audiobox(rounding=rounding),
    "speech_realism": lambda rounding: tiny_df_arena(rounding=rounding),
    "audio_video": omni,
    "audio_text": audio_text,
}


def clip_of(audio: torch.Tensor) -> Clip:
    video = torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(2))
    texts = {"audio_prompt": "noise", "speech": "good dog"}
    return Clip(video=video, fps=4, audio=audio, sample_rate=RATE, texts=texts)


def quiet_noise() -> torch.Tensor:
    """Noise of a few steps of 16 bits."""
    return 1e-4 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dimension", MAKE)
def test_scores_are_those_of_the_wav_file(dimension, tmp_path) -> None:
    wave = quiet_noise()
    written = tmp_path / "16bit.wav"
    steps = (wave * 32768).round()
    Clip(audio=steps / 32768, sample_rate=RATE).save(written)
    file = Clip.open(written).sound()
    assert torch.equal(file * 32768, steps)
    rater = MAKE[dimension]("straight_through")
    with torch.no_grad():
        given, read = rater([clip_of(wave)])[dimension], rater([clip_of(file)])[dimension]
        waves = [gain * wave for gain in (1, 0.3, 0.1)]  # a tiny network may round one difference away
        bare = MAKE[dimension]("none")
        as_given = bare([clip_of(each) for each in waves])[dimension]
        as_rounded = bare([clip_of((each * 32768).round() / 32768) for each in waves])[dimension]
    torch.testing.assert_close(given, read, rtol=0, atol=0)
    assert not torch.equal(as_given, as_rounded)
    assert any("rounded to 16 bits" in setting for setting in rater.settings.values())


@pytest.mark.parametrize("dimension", MAKE)
def test_the_gradient_passes_the_rounding(dimension) -> None:
    wave = quiet_noise().requires_grad_()
    rater = MAKE[dimension]("straight_through")
    rater[dimension]([clip_of(wave)]).sum().backward()
    assert wave.grad.abs().sum() > 0
    assert rater.differentiable
    assert not MAKE[dimension]("exact").differentiable


def test_whisper_hears_16_bits() -> None:
    wave = quiet_noise()
    clip, file = clip_of(wave), clip_of((wave * 32768).round() / 32768)
    heard = [whispering(mode).load_track(clip, "audio") for mode in ("straight_through", "none")]
    assert torch.equal(heard[0], file.sound()[0])
    assert torch.equal(heard[1], wave[0])
    assert not whispering("straight_through").differentiable


def test_raters_that_round_otherwise_share_no_audio() -> None:
    assert tiny_nisqa().decoding == tiny_audiobox().decoding != tiny_nisqa(rounding="none").decoding
