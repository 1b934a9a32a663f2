"""Fragments against the originals, and what holds for every size."""

from __future__ import annotations

import zlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.raters.encoders.fragments import Fragments


def video_of(row) -> Tensor:
    generator = torch.Generator().manual_seed(row["video"]["seed"])
    if row["video"]["rule"] == "uint8":
        return torch.randint(0, 256, row["video"]["shape"], generator=generator, dtype=torch.uint8)
    return torch.rand(row["video"]["shape"], generator=generator) * 255


def of(args, stale: bool) -> Fragments:
    rows, columns, height, width = (args[key] for key in ("fragments_h", "fragments_w", "fsize_h", "fsize_w"))
    return Fragments(rows, columns, height, width, args["aligned"], stale)


@pytest.mark.golden(case="fragments")
def test_the_original(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["rows"]:
        name, video = row["name"], video_of(row)
        truncated = video.dtype == torch.uint8
        for kind in ("upstream", "corrected"):
            if kind not in row:
                continue
            prefix = f"{name}." if kind == "upstream" else f"{name}.corrected_"
            offsets = (tensors[f"{prefix}rnd_h"], tensors[f"{prefix}rnd_w"])
            found = of(row["args"], kind == "upstream")(video.float(), offsets)
            golden.same(list(found.shape), row["output_shape"])
            about = row[kind]
            if truncated and about.get("crc32") is not None:
                golden.same(zlib.crc32(found.numpy().tobytes()), about["crc32"])
            sampled, expected = found.flatten()[:: about["flatten_step"]], tensors[f"{name}.{kind}"]
            enlarged = "upsampled_shape" in row
            if truncated and enlarged:
                levels, percent = golden.numbers("resampled_uint8")
                away = (sampled.floor() - expected).abs()
                golden.at_most(away.max(), levels, f"{levels:g} of 255")
                golden.at_most((away > 0).double().mean(), percent / 100, "share of samples that differ")
            else:
                golden.close(sampled, expected, atol=golden.numbers("resampled_float")[0] if enlarged else 0.0)


@pytest.mark.golden(case="fragments")
def test_a_generator_draws_as_the_original(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["rows"]:
        cut, video = of(row["args"], True), video_of(row).float()
        given = (tensors[f"{row['name']}.rnd_h"], tensors[f"{row['name']}.rnd_w"])
        drawn = cut(video, generator=torch.Generator().manual_seed(row["torch_manual_seed"]))
        golden.same(drawn, cut(video, given))


@given(
    frames=st.integers(1, 9),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    aligned=st.integers(1, 8),
    stale=st.booleans(),
)
def test_any_size_gives_the_same_shape_and_only_its_own_values(frames, height, width, aligned, stale) -> None:
    video = torch.rand(3, frames, height, width, generator=torch.Generator().manual_seed(height * 70 + width))
    found = Fragments(3, 2, 4, 8, aligned, stale)(video)
    assert found.shape[0] == 3
    assert found.shape[2:] == (12, 16)
    assert found.isfinite().all()
    assert found.min() >= video.min() - 1e-6
    assert found.max() <= video.max() + 1e-6


def test_without_a_generator_the_middle_of_each_cell_is_cut() -> None:
    video = torch.arange(40.0 * 40).reshape(1, 1, 40, 40)
    found = Fragments(2, 2, 4, 4)(video)
    assert found[0, 0, 0, 0] == video[0, 0, 8, 8]
    assert found[0, 0, 4, 4] == video[0, 0, 28, 28]


def test_gradients_reach_the_pixels_that_were_cut(check_gradient) -> None:
    check_gradient(lambda video: Fragments(2, 2, 4, 4)(video).square(), torch.rand(3, 2, 6, 13, dtype=torch.float64))


@pytest.mark.parametrize(
    ("video", "offsets", "said"),
    [
        (torch.rand(3, 8, 8), None, "video: expected a tensor"),
        (torch.rand(3, 0, 8, 8), None, "video: expected a tensor"),
        (torch.rand(3, 2, 64, 64), (torch.zeros(1, 1, 1).long(),) * 2, "offsets"),
        (torch.rand(3, 2, 64, 64), (torch.zeros(2, 2, 1),) * 2, "offsets"),
    ],
)
def test_wrong_arguments(video, offsets, said) -> None:
    with pytest.raises(ArgumentError, match=said):
        Fragments(2, 2, 4, 4)(video, offsets)
