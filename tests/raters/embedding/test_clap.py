"""CLAP against transformers' own feature extractor and model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny.checks import check_gradient
from tiny.embedding import tiny_clap
from torch import Tensor

from avreward import Clip
from avreward.errors import AvrewardError, MediaError
from avreward.raters.embedding._clap_mel import ClapMel
from avreward.raters.embedding.clap import ClapRater

# a tenth of a second; less than half a window; a window; one sample, one hop, and a lot more than a window
LENGTHS = (4_800, 50_001, 480_000, 480_001, 480_480, 1_000_003)
each = pytest.mark.parametrize("fusion", [False, True], ids=["one window", "fusion"])


def noise(samples: int) -> Tensor:
    """Louder and louder, so that every part of it is another."""
    generator = torch.Generator().manual_seed(samples)
    return 0.3 * torch.randn(samples, generator=generator) * torch.linspace(0.1, 1, samples)


def heard(sound: Tensor, prompt: str | None = "a good sound") -> Clip:
    return Clip(audio=sound, sample_rate=48000, prompt=prompt)


@pytest.fixture
def middles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library draw the middle of each range."""
    import numpy

    monkeypatch.setattr(numpy.random, "choice", lambda values: values[len(values) // 2])
    monkeypatch.setattr(numpy.random, "randint", lambda low, high: (low + high - 1) // 2)


def library_inputs(fusion: bool, sound: Tensor, **options: Any) -> dict[str, Tensor]:
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(truncation="fusion" if fusion else "rand_trunc", **options)
    return dict(extractor(sound.numpy(), sampling_rate=48000, return_tensors="pt"))


def library_cosine(rater: ClapRater, inputs: dict[str, Tensor], prompt: str) -> Tensor:
    texts = rater.tokenizer(prompt, max_length=32, truncation=True, return_tensors="pt")
    ids, mask = texts["input_ids"], texts["attention_mask"]
    output = rater.network(input_ids=ids, attention_mask=mask, **inputs)
    return (output.logits_per_audio / rater.network.logit_scale_a.exp())[0]


@each
@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.usefixtures("middles")
def test_the_spectrogram_is_that_of_the_library(fusion: bool, samples: int) -> None:
    rater, sound = tiny_clap(fusion), noise(samples)
    expected = library_inputs(fusion, sound)["input_features"][0]
    torch.testing.assert_close(rater.mel(sound), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(rater.load_track(heard(sound), "audio"), expected, rtol=0, atol=1e-3)


@each
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_every_padding_and_band(fusion: bool, padding: str) -> None:
    sound = noise(200_000)
    options = {"sampling_rate": 48000, "frequency_min": 50, "frequency_max": 12_000, "padding": padding}
    mel = ClapMel.of(options, ClapMel("fusion" if fusion else "rand_trunc"))
    expected = library_inputs(fusion, sound, **options)["input_features"][0]
    torch.testing.assert_close(mel(sound), expected, rtol=0, atol=1e-3)


@each
@pytest.mark.parametrize("samples", [4_800, 500_000])
@pytest.mark.usefixtures("middles")
def test_scores_are_those_of_the_library(fusion: bool, samples: int) -> None:
    rater, sound = tiny_clap(fusion), noise(samples)
    for prompt in ("a good sound", "Yes", "The audio is bad, " * 9):
        expected = library_cosine(rater, library_inputs(fusion, sound), prompt)
        torch.testing.assert_close(rater([heard(sound, prompt)])["audio_text"], expected, rtol=0, atol=1e-5)


@each
@pytest.mark.parametrize("samples", [30_000, 500_000])
def test_gradients_agree_with_finite_differences(fusion: bool, samples: int) -> None:
    rater = tiny_clap(fusion)
    rater.module.double()

    def judge(sound: Tensor) -> Tensor:
        return rater([heard(sound)])["audio_text"]

    check_gradient(judge, noise(samples), step=1e-4, rtol=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.25, 1e-9], ids=["silence", "constant", "all but silence"])
def test_gradient_is_finite_where_there_is_nothing_to_hear(level: float) -> None:
    sound = torch.full((60_000,), level, requires_grad=True)
    score = tiny_clap()([heard(sound)])["audio_text"]
    score.sum().backward()
    assert score.isfinite().all()
    assert sound.grad.isfinite().all()


@each
def test_a_score_depends_on_nothing_else_in_the_batch(fusion: bool) -> None:
    rater = tiny_clap(fusion)
    clips = [heard(noise(samples), "good " * n) for n, samples in enumerate((4_000, 90_000, 600_000), start=1)]
    together = rater(clips)["audio_text"]
    assert torch.equal(together, torch.cat([rater([clip])["audio_text"] for clip in clips]))
    assert together.unique().numel() == 3


def test_what_is_shared_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rater, embedded = tiny_clap(), []
    embed = rater.embed
    monkeypatch.setattr(rater, "embed", lambda side, loaded: (embedded.append(side), embed(side, loaded))[1])
    sound = noise(20_000)
    rater([heard(sound), heard(sound, "other"), heard(sound.clone()), heard(noise(9_000))], batch_size=1)
    assert sorted(embedded) == ["audio", "audio", "prompt", "prompt"]


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (Clip(video=torch.rand(2, 3, 8, 8), fps=8, prompt="a dog"), "no audio was given"),
        (Clip(audio=torch.rand(1, 800), sample_rate=8000), "no prompt was given"),
        (Clip(video=torch.rand(2, 3, 8, 8), fps=8), "no audio was given; no prompt was given"),
    ],
)
def test_what_is_missing_is_named(clip: Clip, reason: str) -> None:
    scores = tiny_clap()([heard(noise(9_000)), clip])
    assert scores.present.tolist() == [[True], [False]]
    assert reason in scores.reasons[1]["audio_text"]


def test_stereo_at_another_rate_is_mixed_and_resampled() -> None:
    rater = tiny_clap()
    clip = Clip(audio=noise(2 * 700_000).reshape(2, -1), sample_rate=44_100, prompt="a dog")
    sound = clip.sound(48000, 1, "librosa")[0]
    assert len(sound) > 480_000
    assert torch.equal(rater([clip])["audio_text"], rater([heard(sound, "a dog")])["audio_text"])


def test_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(AvrewardError, match=r"score: expected 'cosine' for ClapModel, .*, got 'probability'"):
        tiny_clap(score="probability")
    with pytest.raises(AvrewardError, match="truncation: expected 'fusion' for a model with fusion, got 'rand_trunc'"):
        tiny_clap(True, mel=ClapMel("rand_trunc"))
    with pytest.raises(AvrewardError, match=r"padding: expected one of .*, got 'mirror'"):
        ClapMel("fusion", padding="mirror")
    with pytest.raises(MediaError, match="no samples"):
        ClapMel("fusion")(torch.zeros(0))


def test_contract_and_fingerprint() -> None:
    rater, mel = tiny_clap(), ClapMel("rand_trunc", low=50)
    assert rater.dimension("audio_text").needs == {"audio", "prompt"}
    assert rater.prompt_anchored
    assert rater.differentiable
    assert len({each.fingerprint for each in (rater, tiny_clap(mel=mel), tiny_clap(True))}) == 3
    assert rater.fingerprint == tiny_clap().fingerprint
