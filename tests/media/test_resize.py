"""Resizing against Pillow, torch and a definition written out; gradients by finite differences."""

from __future__ import annotations

from math import lcm

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from avreward.errors import ArgumentError, MediaError
from avreward.media._resize import resize
from avreward.media.rounding import to_uint8_levels

MODES = ["area", "bilinear", "bicubic", "nearest"]
SIDES = st.integers(1, 60)
MEAN, STD = torch.tensor([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]])[:, :, None, None]


def noise(*shape: int, seed: int = 0) -> Tensor:
    """8-bit noise, uint8: the hardest picture for a resize."""
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def planes(image: Tensor) -> Tensor:
    """(…, h, w, 3) in 0 … 255 to (…, 3, h, w) in 0 … 1."""
    return image.movedim(-1, -3).float() / 255


# ---- the originals


@pytest.mark.golden("tensors.resized_uint8")
def test_bicubic_frames_of_agav_rater(golden) -> None:
    tensors = golden.tensors()
    expected = tensors["resized_uint8"]
    out = resize(planes(tensors["frames_uint8"]), expected.shape[-2:], "bicubic", "straight_through")
    golden.same((out * 255).round(), expected.float())


@pytest.mark.golden("tensors.video0_resized")
def test_bicubic_frames_of_videoreward(golden) -> None:
    levels = golden.numbers("pixels")[0]
    tensors = golden.tensors()
    for name in (name for name in tensors if name.endswith("_resized")):
        source = planes(tensors[name.replace("_resized", "_uint8")])
        out = to_uint8_levels(resize(source, tensors[name].shape[-2:], "bicubic"))
        golden.at_most((out * 255 - tensors[name]).abs().max(), levels + 1e-3, f"{levels:g} of 255")


@pytest.mark.golden("rows.resized_uint8")
def test_bicubic_frames_of_aigv_assessor(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["rows"]:
        if "resized_uint8" in row:
            frame, about = noise(*row["frames"]["shape_H_W_C"], seed=row["frames"]["seed"]), row["resized_uint8"]
            out = resize(planes(frame), about["shape"][:2], "bicubic", "straight_through").movedim(0, -1) * 255
            expected = tensors[f"{row['name']}.resized_uint8"].float()
            golden.same(out.round().flatten()[:: about["flatten_step"]], expected)


@pytest.mark.golden("rows.clip_indices")
def test_nearest_frames_of_aigveval(golden) -> None:
    tensors = golden.tensors()
    (tolerance,) = golden.numbers("default")
    for row in golden.data["rows"]:
        if "clip_indices" in row:
            clip, about = noise(*row["frames"]["shape_T_H_W_C"], seed=row["frames"]["seed"]), row["video"]
            out = (resize(planes(clip[row["clip_indices"]]) * 255, about["shape"][-2:], "nearest") - MEAN) / STD
            found = out.transpose(0, 1).flatten()[:: about["flatten_step"]]
            golden.close(found, tensors[f"{row['name']}.video"], atol=tolerance)


# ---- the libraries


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, new_height=SIDES, new_width=SIDES, seed=st.integers(0, 99))
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_rounded_is_pillows_bit_for_bit(mode, height, width, new_height, new_width, seed) -> None:
    pillow = pytest.importorskip("PIL.Image")
    image = noise(height, width, 3, seed=seed)
    kernel = getattr(pillow.Resampling, mode.upper())
    # one pass at a time, because releases disagree about their order
    down_first = height > new_height and height - new_height > 2 * (width - new_width)
    between = (width, new_height) if down_first else (new_width, height)
    steps = pillow.fromarray(image.numpy()).resize(between, kernel).resize((new_width, new_height), kernel)
    expected = torch.from_numpy(np.asarray(steps).copy())
    for rounding in ("exact", "straight_through"):
        out = resize(planes(image), (new_height, new_width), mode, rounding)
        assert torch.equal((out * 255).round().movedim(0, -1).to(torch.uint8), expected)
    assert float((out * 255 - (out * 255).round()).abs().max()) < 1e-4


def test_the_order_of_passes_is_that_of_pillow_13() -> None:
    pil = pytest.importorskip("PIL", minversion="13")
    from PIL import Image

    assert pil
    for size, new in (((640, 360), (448, 448)), ((47, 33), (16, 12)), ((71, 25), (35, 8)), ((300, 533), (448, 448))):
        image = noise(*size, 3)
        expected = np.asarray(Image.fromarray(image.numpy()).resize(new[::-1], Image.Resampling.BICUBIC))
        out = (resize(planes(image), new, "bicubic", "exact") * 255).round().movedim(0, -1)
        assert torch.equal(out, torch.from_numpy(expected.copy()).float())


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, new_height=SIDES, new_width=st.integers(2, 60))  # torch is wrong at a width of one
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_unrounded_is_torchs_antialias(mode, height, width, new_height, new_width) -> None:
    frames = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = F.interpolate(frames, (new_height, new_width), mode=mode, antialias=True, align_corners=False)
    torch.testing.assert_close(resize(frames, (new_height, new_width), mode), expected, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 24), width=st.integers(1, 24), new_height=st.integers(1, 24), new_width=st.integers(1, 24))
def test_area_is_the_mean_of_what_a_pixel_covers(height, width, new_height, new_width) -> None:
    frames = torch.randn(3, height, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    # on a grid so fine that no border cuts a cell
    tall, wide = lcm(height, new_height), lcm(width, new_width)
    fine = frames.repeat_interleave(tall // height, dim=1).repeat_interleave(wide // width, dim=2)
    expected = F.avg_pool2d(fine, (tall // new_height, wide // new_width))
    torch.testing.assert_close(resize(frames, (new_height, new_width)), expected, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, new_height=SIDES, new_width=SIDES)
def test_nearest_is_torchs(height, width, new_height, new_width) -> None:
    frames = torch.randn(2, 3, height, width)
    assert torch.equal(
        resize(frames, (new_height, new_width), "nearest"), F.interpolate(frames, (new_height, new_width))
    )


# ---- properties


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, new_height=SIDES, new_width=SIDES, mode=st.sampled_from(MODES))
def test_a_constant_stays_and_the_same_size_is_the_identity(height, width, new_height, new_width, mode) -> None:
    flat = torch.full((3, height, width), 0.3)
    torch.testing.assert_close(resize(flat, (new_height, new_width), mode), torch.full((3, new_height, new_width), 0.3))
    frames = torch.rand(2, 3, height, width)
    assert torch.equal(resize(frames, (height, width), mode), frames)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rounding", ["none", "straight_through"])
def test_neighbours_in_the_batch_change_nothing(mode, rounding) -> None:
    frames = torch.rand(5, 3, 37, 41, generator=torch.Generator().manual_seed(3))
    together = resize(frames, (16, 50), mode, rounding)
    for frame, out in zip(frames, together, strict=True):
        assert torch.equal(resize(frame, (16, 50), mode, rounding), out)
    assert torch.equal(resize(frames[None], (16, 50), mode, rounding)[0], together)
    assert torch.equal(resize(frames[0, 0], (16, 50), mode, rounding), together[0, 0])


@pytest.mark.parametrize("mode", MODES)
def test_no_frames_are_no_frames(mode) -> None:
    assert resize(torch.zeros(0, 3, 8, 8), (4, 5), mode).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once_at_the_end(mode, dtype) -> None:
    frames = torch.rand(3, 20, 30).to(dtype)
    assert torch.equal(resize(frames, (7, 45), mode), resize(frames.float(), (7, 45), mode).to(dtype))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(5, 4), (17, 23), (9, 20), (1, 1)])
@pytest.mark.parametrize("flat", [False, True], ids=["noise", "constant"])
def test_gradients(mode, size, flat, check_gradient) -> None:
    frames = torch.rand(2, 3, 9, 13, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    frames = torch.zeros_like(frames) if flat else frames
    check_gradient(lambda x: resize(x, size, mode), frames)
    check_gradient(lambda x: resize(x, size, mode).square(), frames)


@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives(mode) -> None:
    frames = torch.rand(1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: resize(x, (3, 8), mode).pow(3), frames)


@pytest.mark.parametrize("mode", MODES)
def test_straight_through_has_the_gradient_of_no_rounding(mode) -> None:
    frames = torch.rand(3, 40, 30, requires_grad=True)
    weights = torch.rand(3, 12, 50)
    (plain,) = torch.autograd.grad((resize(frames, (12, 50), mode) * weights).sum(), frames)
    (through,) = torch.autograd.grad((resize(frames, (12, 50), mode, "straight_through") * weights).sum(), frames)
    torch.testing.assert_close(through, plain, rtol=1e-4, atol=1e-6)
    (exact,) = torch.autograd.grad((resize(frames, (12, 50), mode, "exact") * weights).sum(), frames)
    assert not exact.any()


@pytest.mark.parametrize(
    ("frames", "size", "mode", "name"),
    [
        (torch.zeros(3, 4, 4, dtype=torch.uint8), (2, 2), "area", "frames: torch.uint8"),
        (torch.zeros(3, 0, 4), (2, 2), "area", "frames: shape"),
        (torch.zeros(4), (2, 2), "area", "frames: shape"),
        (torch.zeros(3, 4, 4), (0, 2), "area", "size: expected"),
        (torch.zeros(3, 4, 4), (2, 2), "lanczos", "mode: expected"),
    ],
)
def test_arguments_out_of_range_are_named(frames, size, mode, name) -> None:
    with pytest.raises(ArgumentError if "expected" in name else MediaError, match=name):
        resize(frames, size, mode)
