"""Speech content: Whisper's transcript against the library's own pipeline, and what is said of odd clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny.avbench_audio import tiny_whisper, write_tiny_whisper

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.raters.avbench import SpeechContentRater, speech_match, word_accuracy


def sound(seconds: float = 1.0, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(1, int(16000 * seconds), generator=torch.Generator().manual_seed(seed)) - 0.5
    time = torch.arange(noise.shape[1]) / 16000
    return 0.2 * noise + 0.5 * torch.sin(2 * torch.pi * 130 * (1 + 3 * seed) * time)


def clip(seconds: float = 1.0, seed: int = 0, speech: str | None = "good dog") -> Clip:
    texts = None if speech is None else {"speech": speech}
    return Clip(audio=sound(seconds, seed), sample_rate=16000, texts=texts)


@pytest.fixture(scope="module")
def rater() -> SpeechContentRater:
    return tiny_whisper()


@pytest.mark.parametrize("multilingual", [True, False])
def test_transcripts_are_those_of_the_library(multilingual) -> None:
    from transformers import WhisperFeatureExtractor

    one = tiny_whisper(multilingual)
    waves = [sound(seconds, seed)[0] for seed, seconds in enumerate((1.0, 0.3, 4.0, 29.0))]
    extract = WhisperFeatureExtractor(feature_size=80)
    found = one.transcripts(waves)
    assert len(set(found)) > 1
    for wave, text in zip(waves, found, strict=True):
        features = extract(np.asarray(wave), sampling_rate=16000, return_tensors="pt").input_features
        tokens = one.network.generate(features, **({"task": "transcribe"} if multilingual else {}))
        assert one.tokenizer.decode(tokens[0], skip_special_tokens=True).strip() == text
        assert one.transcripts([wave]) == [text]  # whatever else is in the batch


def test_scores_compare_the_transcript(rater) -> None:
    given = [clip(seed=seed) for seed in range(3)]
    texts = rater.transcribe(given)
    scores = rater(given)
    for row, text in zip(scores.values, texts, strict=True):
        match = speech_match("good dog", text)
        expected = [match.total, word_accuracy("good dog", text)]
        expected += [match.completeness, match.accuracy, match.no_hallucination]
        assert row.tolist() == pytest.approx(expected, rel=1e-5)
    right = rater([given[0].with_prompt(None, {"speech": texts[0] + " dog"})])
    assert right["speech_content"] > scores["speech_content"].max()
    assert right["word_accuracy"] > scores["word_accuracy"].max()


def test_audio_with_several_texts_is_heard_once(rater) -> None:
    heard: list[int] = []
    first = rater.network.model.encoder.conv1
    hook = first.register_forward_pre_hook(lambda _, inputs: heard.append(len(inputs[0])))
    same = clip()
    rater([same, same.with_prompt(None, {"speech": "something else"}), clip(seed=2)])
    hook.remove()
    assert max(heard) == 2


def test_long_audio_is_heard_in_windows(rater) -> None:
    first, second = sound(30.0), sound(2.0, 1)
    (joined,) = rater.transcripts([torch.cat([first, second], 1)[0]])
    assert joined == " ".join(rater.transcripts([first[0], second[0]])).strip()


def test_clips_without_a_score_and_silence(rater) -> None:
    silent = Clip(audio=torch.zeros(1, 8000), sample_rate=8000, texts={"speech": "please say this line"})
    given = [
        clip(speech=None),
        clip(speech=""),
        clip(speech=" ... !"),
        Clip(video=torch.rand(2, 3, 8, 8), fps=2),
        silent,
    ]
    scores = rater(given)
    assert scores.present.any(1).tolist() == [False, False, False, False, True]
    assert "no texts.speech was given" in scores.reasons[0]["speech_content"]
    assert "no texts.speech was given" in scores.reasons[1]["word_accuracy"]
    assert "holds no words: ' ... !'" in scores.reasons[2]["word_accuracy"]
    assert "no audio" in scores.reasons[3]["word_accuracy"]
    assert scores.values[4].tolist() == [20, 0, 0, 0, 100]  # AVBench's for an empty transcript
    assert rater.transcribe([silent]) == [""]


def test_no_gradient(rater) -> None:
    wave = sound().requires_grad_()
    values = rater([Clip(audio=wave, sample_rate=16000, texts={"speech": "good dog"})]).values
    assert not values.requires_grad
    assert not rater.differentiable
    assert all(d.streams == frozenset() for d in rater.dimensions)


def test_the_published_files(tmp_path: Path) -> None:
    folder = write_tiny_whisper(tmp_path / "whisper")
    loaded = load_rater(folder)
    assert isinstance(loaded, SpeechContentRater)
    own = tiny_whisper()
    assert loaded.fingerprint == own.fingerprint
    torch.testing.assert_close(loaded([clip()]).values, own([clip()]).values)
    with pytest.raises(AvrewardError, match=r"which load_rater reads directly; save it with rater\.module"):
        loaded.save_pretrained(tmp_path / "again")
    (folder / "generation_config.json").unlink()
    with pytest.raises(AvrewardError, match=r"expected Whisper's generation_config\.json, got none"):
        load_rater(folder)


def test_wrong_arguments(rater) -> None:
    with pytest.raises(ArgumentError, match="clips: expected a list of clips, got a single Clip"):
        rater.transcribe(clip())
    with pytest.raises(MediaError, match="no audio"):
        rater.transcribe([Clip(video=torch.rand(2, 3, 8, 8), fps=2)])
