"""PE-AV against transformers' own feature extractor and model."""

from __future__ import annotations

import pytest
import torch
from tiny.pe_av import tiny_pe_av
from torch import Tensor

from avreward import Clip
from avreward.errors import MediaError
from avreward.media.sampling import AllFrames, Spread
from avreward.raters.embedding.pe_av import PeAvRater, PeFrames, _mirrored

PROMPT = "a good video"
NAMES = ("audio_video", "audio_text", "video_text")


@pytest.fixture(scope="module", autouse=True)
def _needs_a_library_that_builds_it() -> None:
    try:
        tiny_pe_av()
    except ImportError as error:
        pytest.skip(" ".join(str(error).split())[:100])


def noise(samples: int) -> Tensor:
    generator = torch.Generator().manual_seed(samples)
    return 0.3 * torch.randn(1, samples, generator=generator)


def pictures(count: int, height: int = 30, width: int = 41) -> Tensor:
    generator = torch.Generator().manual_seed(count * height + width)
    return (torch.rand(count, 3, height, width, generator=generator) * 255).round() / 255


def made(frames: Tensor, sound: Tensor, prompt: str | None = PROMPT) -> Clip:
    return Clip(video=frames, fps=8, audio=sound, sample_rate=48000, prompt=prompt)


def library_output(rater: PeAvRater, frames: Tensor, sound: Tensor, prompt: str):
    from transformers import PeAudioFeatureExtractor

    heard = PeAudioFeatureExtractor()(sound[0].numpy(), sampling_rate=48000, return_tensors="pt")
    texts = rater.tokenizer(prompt, max_length=64, truncation=True, return_tensors="pt")
    texts.pop("token_type_ids", None)
    pixels = rater.pictures(frames, rater.rounding)[None]
    with torch.no_grad():
        return rater.network(
            **texts, pixel_values_videos=pixels, input_values=heard["input_values"], padding_mask=heard["padding_mask"]
        )


@pytest.mark.parametrize("samples", [1920, 30_000, 57_601])
def test_scores_are_those_of_the_library(samples: int) -> None:
    frames, sound = pictures(5), noise(samples)
    for prompt in (PROMPT, "Yes", "The sound is bad, " * 9):
        rater = tiny_pe_av(frames=AllFrames(), score="probability")
        output = library_output(rater, frames, sound, prompt)
        expected = {
            "audio_video": output.logits_audio_video,
            "audio_text": output.logits_audio_text,
            "video_text": output.logits_video_text,
        }
        scores = rater([made(frames, sound, prompt)])
        for name in NAMES:
            torch.testing.assert_close(scores[name], expected[name][0].sigmoid(), rtol=0, atol=1e-5)
        pairs = {
            "audio_video": (output.audio_embeds, output.video_embeds),
            "audio_text": (output.audio_embeds, output.text_audio_embeds),
            "video_text": (output.video_embeds, output.text_video_embeds),
        }
        scores = tiny_pe_av(frames=AllFrames())([made(frames, sound, prompt)])
        for name in NAMES:
            cosine = torch.nn.functional.cosine_similarity(*pairs[name])
            torch.testing.assert_close(scores[name], cosine, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 700, 1919, 1920, 1921, 5000])
def test_sound_is_mirrored_as_by_the_library(samples: int) -> None:
    from transformers import PeAudioFeatureExtractor

    sound = noise(samples)
    theirs = PeAudioFeatureExtractor()(sound[0].numpy(), sampling_rate=48000, return_tensors="pt")["input_values"]
    ours = tiny_pe_av().load_track(made(pictures(1), sound), "audio")
    assert torch.equal(ours, theirs[0, 0])


def test_frames_are_squashed_by_a_bilinear_filter() -> None:
    from transformers import SiglipImageProcessorPil

    frames = pictures(2, 45, 31)
    images = [(frame * 255).round().byte().permute(1, 2, 0).numpy() for frame in frames]
    processor = SiglipImageProcessorPil(size={"height": 28, "width": 28}, resample=2)
    theirs = processor(images, return_tensors="pt")["pixel_values"]
    ours = tiny_pe_av(rounding="exact").load_track(made(frames, noise(5)), "video")
    assert float((ours - theirs).abs().max()) * 127.5 < 1.2


@pytest.mark.parametrize(("count", "total"), [(16, 100), (16, 16), (16, 5), (16, 1), (1, 9), (4, 10_001)])
def test_which_frames(count: int, total: int) -> None:
    chosen = PeFrames(count)(torch.arange(total, dtype=torch.float64))
    # the library's own formula, which fails for a single frame
    assert chosen.tolist() == [int(i * (total - 1) / max(1, count - 1)) for i in range(count)]


def test_the_number_of_frames_is_the_checkpoints() -> None:
    config = tiny_pe_av().network.config
    assert PeAvRater.prepared({"num_frames": 16}, config)["frames"] == PeFrames(16)
    prepared = PeAvRater.prepared({"num_frames": None}, config)
    assert prepared["frames"] == Spread(64)
    assert prepared["pictures"].size == (336, 336)
    assert prepared["pictures"].mode == "bilinear"


def test_each_pair_needs_its_own_sides() -> None:
    rater = tiny_pe_av()
    whole = made(pictures(3), noise(4000))
    mute = Clip(video=pictures(3), fps=8, prompt=PROMPT)
    unseen = Clip(audio=noise(4000), sample_rate=48000, prompt=PROMPT)
    untold = made(pictures(3), noise(4000), None)
    scores = rater([whole, mute, unseen, untold])
    assert scores.names == NAMES
    assert scores.present.tolist() == [[True] * 3, [False, False, True], [False, True, False], [True, False, False]]
    assert scores.reasons[1] == {"audio_video": "no audio was given", "audio_text": "no audio was given"}
    assert "no prompt was given" in scores.reasons[3]["video_text"]
    for row, name in ((1, "video_text"), (2, "audio_text"), (3, "audio_video")):
        assert scores[name][row] == scores[name][0]


def test_what_is_shared_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rater, embedded = tiny_pe_av(), []
    embed = rater.embed
    monkeypatch.setattr(rater, "embed", lambda side, loaded: (embedded.append(side), embed(side, loaded))[1])
    film = made(pictures(3), noise(4000))
    dubs = [film.with_audio(noise(4000 + n), 48000) for n in (1, 2)]
    rater([film, *dubs, film.with_prompt("other")], batch_size=2)
    assert sorted(embedded) == ["audio"] * 3 + ["prompt"] * 2 + ["video"]


def test_a_score_depends_on_nothing_else_in_the_batch() -> None:
    rater = tiny_pe_av()
    clips = [made(pictures(n, 20 + n, 50 - n), noise(3000 * n), "good " * n) for n in (1, 4, 7)]
    together = rater(clips).values
    assert torch.equal(together, torch.cat([rater([clip]).values for clip in clips]))
    assert together.unique().numel() == 9


def test_no_gradient_is_given_rather_than_half_of_one() -> None:
    rater = tiny_pe_av()
    assert not rater.differentiable
    assert not rater([made(pictures(3).requires_grad_(), noise(4000))]).values.requires_grad


def test_sound_without_samples_makes_the_scores_missing() -> None:
    with pytest.raises(MediaError, match="no samples"):
        _mirrored(torch.zeros(0))
    rater = tiny_pe_av()
    assert rater.load_track(Clip(audio=torch.zeros(1, 1), sample_rate=192_000), "audio").shape == (1920,)


def test_contract_and_fingerprint() -> None:
    rater = tiny_pe_av()
    assert rater.dimension("audio_video").needs == {"audio", "video"}
    assert rater.dimension("audio_text").needs == {"audio", "prompt"}
    assert rater.prompt_anchored
    assert (tiny_pe_av(score="probability").dimensions[0].low, rater.dimensions[0].low) == (0, -1)
    assert rater.fingerprint == tiny_pe_av().fingerprint
    assert len({rater.fingerprint, tiny_pe_av(frames=PeFrames(16)).fingerprint}) == 2
