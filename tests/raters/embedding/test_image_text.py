"""CLIP, SigLIP and SigLIP 2 NaFlex against transformers' own image processors and models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny.checks import check_gradient
from tiny.embedding import tiny_clip, tiny_naflex, tiny_siglip
from torch import Tensor

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.media.sampling import AllFrames, Spread
from avreward.raters.embedding._frames import NaflexPictures
from avreward.raters.embedding.image_text import ImageTextRater

RATERS = {"clip": tiny_clip, "siglip": tiny_siglip, "naflex": tiny_naflex}
each = pytest.mark.parametrize("kind", RATERS)


def pictures(count: int, height: int, width: int, levels: bool = True) -> Tensor:
    """Frames in steps of 1/255, smooth with some noise."""
    generator = torch.Generator().manual_seed(count * height + width)
    small = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    frames = (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
    return (frames * 255).round() / 255 if levels else frames


def seen(frames: Tensor, prompt: str | None = "a good video") -> Clip:
    return Clip(video=frames, fps=8, prompt=prompt)


def processor(kind: str) -> Any:
    import transformers

    if kind == "clip":
        return transformers.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    if kind == "siglip":
        return transformers.SiglipImageProcessorPil(size={"height": 24, "width": 24})
    return transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=12)


def library_inputs(kind: str, frames: Tensor) -> dict[str, Tensor]:
    images = [(frame * 255).round().byte().permute(1, 2, 0).numpy() for frame in frames]
    return dict(processor(kind)(images, return_tensors="pt"))


def library_output(kind: str, rater: ImageTextRater, frames: Tensor, prompts: list[str]) -> Any:
    padding = "longest" if kind == "clip" else "max_length"
    texts = rater.tokenizer(prompts, padding=padding, max_length=32, truncation=True, return_tensors="pt")
    texts.pop("token_type_ids", None)
    if kind != "clip":  # trained without a mask; the published tokenizers give none
        texts.pop("attention_mask", None)
    return rater.network(**texts, **library_inputs(kind, frames))


@each
@pytest.mark.parametrize(("height", "width"), [(24, 24), (45, 31), (57, 97), (97, 40)])
def test_scores_are_those_of_the_library(kind: str, height: int, width: int) -> None:
    rater = RATERS[kind](rounding="exact", frames=AllFrames())
    frames, prompts = pictures(3, height, width), ["a good video", "Yes", "The sound is bad, " * 9]
    expected = library_output(kind, rater, frames, prompts)
    scores = rater([seen(frames, prompt) for prompt in prompts])["video_text"]
    cosines = expected.image_embeds @ expected.text_embeds.T
    # a level off in a thousandth of the pixels
    torch.testing.assert_close(scores, cosines.mean(dim=0), rtol=0, atol=1e-4)
    if kind != "clip":
        likely = RATERS[kind](rounding="exact", frames=AllFrames(), score="probability")
        scores = likely([seen(frames, prompt) for prompt in prompts])["video_text"]
        probabilities = library_output(kind, likely, frames, prompts).logits_per_image.sigmoid()
        torch.testing.assert_close(scores, probabilities.mean(dim=0), rtol=0, atol=1e-4)


@each
@pytest.mark.parametrize(("height", "width"), [(24, 24), (45, 31), (57, 97), (97, 40), (11, 19), (200, 8)])
def test_pixels_are_those_of_the_image_processor(kind: str, height: int, width: int) -> None:
    frames = pictures(3, height, width)
    theirs = library_inputs(kind, frames)
    loaded = RATERS[kind](rounding="exact", frames=AllFrames()).load_track(seen(frames), "video")
    ours = loaded if isinstance(loaded, Tensor) else loaded.values
    if kind == "naflex":
        assert theirs["spatial_shapes"].tolist() == [list(loaded.grid)] * 3
        assert theirs["pixel_attention_mask"].sum(dim=1).tolist() == [ours.shape[1]] * 3
    expected = theirs["pixel_values"][:, : ours.shape[1]]
    off = (ours - expected).abs() * (0.2758 if kind == "clip" else 0.5) * 255
    assert float(off.max()) < 1.2
    assert float((off > 0.5).float().mean()) <= 1e-3


@given(height=st.integers(1, 2000), width=st.integers(1, 2000), patches=st.integers(1, 1024))
def test_naflex_sizes_are_those_of_the_library(height: int, width: int, patches: int) -> None:
    from transformers.models.siglip2 import image_processing_pil_siglip2 as library

    expected = library.get_image_size_for_max_num_patches(height, width, patch_size=16, max_num_patches=patches)
    assert NaflexPictures(16, patches).output_size(height, width) == expected


@each
def test_a_clip_of_half_precision_keeps_its_levels(kind: str) -> None:
    frames, rater = pictures(3, 24, 24).bfloat16(), RATERS[kind]()
    scores = [rater([seen(each)])["video_text"] for each in (frames, frames.float())]
    assert torch.equal(scores[0], scores[1])


@each
@pytest.mark.parametrize("score", ["cosine", "probability"])
def test_gradients_agree_with_finite_differences(kind: str, score: str) -> None:
    if kind == "clip" and score == "probability":
        return
    rater = RATERS[kind](rounding="none", score=score, frames=Spread(2))
    rater.module.double()

    def judge(frames: Tensor) -> Tensor:
        return rater([seen(frames)])["video_text"]

    check_gradient(judge, pictures(3, 41, 33, levels=False), step=1e-5, rtol=1e-4)


@each
def test_a_score_depends_on_nothing_else_in_the_batch(kind: str) -> None:
    rater = RATERS[kind]()
    clips = [seen(pictures(n, 20 + 9 * n, 50 - 3 * n), "good " * n) for n in (1, 4, 11)]
    together = rater(clips)["video_text"]
    assert torch.equal(together, torch.cat([rater([clip])["video_text"] for clip in clips]))
    assert together.unique().numel() == 3


@each
def test_what_is_shared_is_embedded_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rater = RATERS[kind]()
    seen_before: list[str] = []
    embed = rater.embed
    monkeypatch.setattr(rater, "embed", lambda side, loaded: (seen_before.append(side), embed(side, loaded))[1])
    frames = [pictures(4, 30, 40), pictures(5, 30, 40)]
    clips = [seen(frames[0]), seen(frames[0], "other"), seen(frames[0].clone()), seen(frames[1])]
    scores = rater(clips, batch_size=2)["video_text"]
    assert sorted(seen_before) == ["prompt", "prompt", "video", "video"]
    assert torch.equal(scores[0], scores[2])
    assert scores[0] != scores[1]


def test_equal_frames_with_gradients_keep_their_own() -> None:
    rater = tiny_siglip()
    frames = [pictures(2, 30, 30).requires_grad_() for _ in range(2)]
    rater([seen(each) for each in frames])["video_text"].sum().backward()
    assert all(each.grad.abs().sum() > 0 for each in frames)


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (Clip(audio=torch.rand(1, 800), sample_rate=8000, prompt="a dog"), "no video was given"),
        (Clip(video=torch.rand(2, 3, 30, 30), fps=8), "no prompt was given"),
        (Clip(video=torch.rand(2, 3, 30, 30), fps=8, prompt=" \t"), "no prompt was given"),
    ],
)
def test_what_is_missing_is_named(clip: Clip, reason: str) -> None:
    scores = tiny_clip()([seen(pictures(2, 30, 30)), clip])
    assert scores.present.tolist() == [[True], [False]]
    assert reason in scores.reasons[1]["video_text"]


def test_eight_frames_spread_evenly_and_one_is_enough() -> None:
    rater, frames = tiny_siglip(), pictures(40, 24, 24)
    few = rater([seen(frames[2::5])])
    assert torch.equal(rater([seen(frames)])["video_text"], few["video_text"])
    assert rater([seen(frames[:1])]).present.all()


def test_a_model_without_a_bias_has_no_probability() -> None:
    with pytest.raises(AvrewardError, match=r"score: expected 'cosine' for CLIPModel, .*, got 'probability'"):
        tiny_clip(score="probability")
    with pytest.raises(AvrewardError, match="score: expected one of cosine, probability, got 'odds'"):
        tiny_siglip(score="odds")


def test_ranges_and_contract() -> None:
    cosine, probability = (
        tiny_siglip().dimension("video_text"),
        tiny_siglip(score="probability").dimension("video_text"),
    )
    assert (cosine.low, cosine.high) == (-1, 1)
    assert (probability.low, probability.high) == (0, 1)
    assert cosine.needs == {"video", "prompt"}
    rater = tiny_siglip()
    assert rater.prompt_anchored
    assert rater.differentiable
    assert not rater.per_clip
    assert not rater.module.training
    assert not any(weight.requires_grad for weight in rater.module.parameters())


def test_the_fingerprint_covers_weights_and_settings() -> None:
    first = tiny_siglip()
    assert first.fingerprint == tiny_siglip().fingerprint
    others = [
        tiny_siglip(score="probability"),
        tiny_siglip(rounding="none"),
        tiny_siglip(frames=Spread(9)),
        tiny_siglip(pictures=type(first.pictures)(size=(24, 24), mode="bilinear")),
    ]
    tuned, half = tiny_siglip(), tiny_siglip()
    next(tuned.module.parameters()).data.add_(1)
    half.module.half()
    assert len({rater.fingerprint for rater in (first, *others, tuned, half)}) == 7


def test_half_precision() -> None:
    rater, clip = tiny_siglip(), seen(pictures(2, 30, 30))
    expected = rater([clip])["video_text"]
    rater.module.bfloat16()
    scores = rater([clip])["video_text"]
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, rtol=0, atol=0.03)
