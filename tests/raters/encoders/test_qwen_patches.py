"""Patches against transformers' image processor, torch's own resize and the reference case of VideoReward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny.checks import check_gradient
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, MediaError
from avreward.raters.encoders._qwen_patches import CLIP_STD, QwenPatches, patchify

PUBLISHED = QwenPatches(least=128 * 28**2, most=768 * 28**2, total=115_200 * 28**2)


def film(frames: int, height: int, width: int) -> Tensor:
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(frames * height))


@pytest.mark.golden("resize_table")
def test_sizes_are_those_of_videoreward(golden) -> None:
    rule = QwenPatches(least=100352, most=200704, total=PUBLISHED.total)
    for row in golden.data["resize_table"]:
        golden.same(list(rule.size(row["h"], row["w"], frames=10)), row["out"])


@pytest.mark.golden("resize_table")
def test_patches_are_those_of_videoreward(golden) -> None:
    tensors, stated = golden.tensors(), golden.data.get("preprocess") or golden.data["config"]["preprocess"]
    cut = QwenPatches(least=stated["min_pixels"], most=stated["max_pixels"], total=PUBLISHED.total)
    given = tensors["pixel_values_videos"].split([t * h * w for t, h, w in golden.data["video_grid_thw"]])
    for number, (expected, shape) in enumerate(zip(given, golden.data["video_grid_thw"], strict=True)):
        patches, grid = cut(tensors[f"video{number}_uint8"].permute(0, 3, 1, 2) / 255, "exact")
        golden.same(list(grid), shape)
        levels = (patches - expected).abs() * (255 * min(CLIP_STD))
        golden.at_most(levels.max(), golden.numbers("pixels")[0] + 1e-3, "levels of 255")
        golden.at_most((levels > 0.01).double().mean(), 1e-3, "share of values that differ")


@given(
    height=st.integers(28, 3000),
    width=st.integers(28, 3000),
    least=st.integers(1, 400),
    more=st.integers(1, 1000),
    factor=st.sampled_from([28, 32]),
)
def test_sizes_are_those_of_the_library(height: int, width: int, least: int, more: int, factor: int) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    bounds = least * factor**2, (least + more) * factor**2
    rule = QwenPatches(*bounds, total=10**12, patch=factor // 2)
    assert rule.size(height, width, frames=2) == smart_resize(height, width, factor, *bounds)


@pytest.mark.parametrize(
    ("frames", "size"),
    [(2, (560, 1008)), (300, (560, 1008)), (768, (336, 644)), (10_000, (224, 420))],
)
def test_long_films_get_smaller_frames(frames: int, size: tuple[int, int]) -> None:
    assert PUBLISHED.size(720, 1280, frames) == size


def test_long_films_keep_a_little_more_than_the_least() -> None:
    assert PUBLISHED.size(480, 832, frames=10_000) == (224, 420)  # the least alone would give (224, 392)


def test_a_thin_frame_keeps_one_token_across() -> None:
    assert PUBLISHED.size(4000, 20, 2)[1] == 28


def test_extreme_frames_are_named() -> None:
    with pytest.raises(MediaError, match=r"video: expected an aspect ratio of 200 at most, got 10 × 2001 pixels; crop"):
        PUBLISHED.size(2001, 10, frames=2)


def test_bounds_that_exclude_each_other_are_named() -> None:
    with pytest.raises(ArgumentError, match=r"min_pixels: expected 0 < .*, got min_pixels=200 and max_pixels=100"):
        QwenPatches(least=200, most=100, total=1000)


@pytest.mark.parametrize("patch", [14, 16])
def test_one_frame_is_cut_as_an_image_by_the_library(patch: int) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    image = (film(1, 4 * patch, 6 * patch)[0] * 255).round().to(torch.uint8)
    expected = Qwen2VLImageProcessorPil(patch_size=patch, min_pixels=1)(image, return_tensors="pt")
    rule = QwenPatches(least=1, most=10**6, total=10**6, patch=patch)
    patches, grid = rule(image[None] / 255, "exact")
    assert grid == tuple(expected["image_grid_thw"][0])
    torch.testing.assert_close(patches, expected["pixel_values"], rtol=0, atol=1e-5)


def test_order_within_and_between_patches() -> None:
    frames = film(5, 12, 8)
    patches, grid = patchify(frames, patch=2, merge=2)
    assert grid == (3, 6, 4)
    frames = torch.cat([frames, frames[-1:]])
    expected = [
        frames[2 * step : 2 * step + 2, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].transpose(0, 1)
        for step in range(3)
        for top in range(0, 6, 2)
        for left in range(0, 4, 2)
        for row in (top, top + 1)
        for column in (left, left + 1)
    ]
    assert torch.equal(patches, torch.stack(expected).reshape(-1, 24))


@pytest.mark.parametrize(("height", "width"), [(50, 90), (121, 77), (300, 200)])
def test_frames_are_resized_in_8_bits_rounded_once(height: int, width: int) -> None:
    rule = QwenPatches(least=3136, most=12544, total=10**9, mean=(0, 0, 0), std=(1, 1, 1))
    eight_bit = (film(2, height, width) * 255).round()
    size = rule.size(height, width, frames=2)
    whole = F.interpolate(eight_bit, size, mode="bicubic", antialias=True).clamp(0, 255).round()
    patches, _ = rule(eight_bit / 255, "exact")
    off = patches * 255 - patchify(whole, 14, 2)[0]
    assert off.abs().max() < 1.01
    assert (off.abs() > 0.5).float().mean() < 1e-3


def test_frames_between_two_levels_are_8_bit_frames_first() -> None:
    rule, frames = QwenPatches(least=3136, most=3136, total=10**9), 1.2 * film(2, 30, 40) - 0.1
    as_stored = (frames * 255).round().clamp(0, 255) / 255
    for rounding in ("exact", "straight_through"):
        assert torch.equal(rule(frames, rounding)[0], rule(as_stored, "exact")[0])
    assert not torch.equal(rule(frames, "none")[0], rule(as_stored, "exact")[0])


def test_long_films_are_resized_in_pieces_to_the_same_end() -> None:
    rule = QwenPatches(least=3136, most=3136, total=10**9)
    frames = film(35, 30, 40)
    patches, (steps, _, _) = rule(frames, "exact")
    assert steps == 18
    apart = torch.cat([rule(pair, "exact")[0] for pair in frames.split(2)])
    assert torch.equal(patches, apart)


def test_half_precision_frames_are_computed_in_full() -> None:
    rule, frames = QwenPatches(least=3136, most=3136, total=10**9), film(2, 30, 40).bfloat16()
    assert torch.equal(rule(frames, "exact")[0], rule(frames.float(), "exact")[0])


def test_gradients() -> None:
    rule = QwenPatches(least=64, most=256, total=10**9, patch=4)
    check_gradient(lambda frames: rule(frames, "none")[0], film(3, 9, 13))


def test_gradients_pass_straight_through_rounding() -> None:
    rule, frames = QwenPatches(least=64, most=256, total=10**9, patch=4), film(2, 9, 13).double()
    weights = torch.randn(rule(frames, "none")[0].shape, dtype=torch.float64)
    gradients = {}
    for rounding in ("none", "straight_through"):
        at = frames.clone().requires_grad_()
        (gradients[rounding],) = torch.autograd.grad((rule(at, rounding)[0] * weights).sum(), at)
    torch.testing.assert_close(gradients["straight_through"], gradients["none"])
