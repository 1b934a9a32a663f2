"""Qwen3-VL against transformers' own model and time stamps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tiny.checks import check_gradient, parts_of
from tiny.qwen_checks import clip_of, film, library_ids, read_deep, rendered
from tiny.qwen_templates import QWEN3
from tiny.qwen_vl import tiny_qwen3_vl
from torch import Tensor

from avreward import Clip
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.lmm.prompt import Slot, Tokens

QUESTION = "How good is it?"


@dataclass(frozen=True)
class First:
    """The first frames, however many."""

    count: int

    def __call__(self, times: Tensor) -> Tensor:
        return torch.arange(self.count)


@pytest.fixture(scope="module")
def backbone():
    return tiny_qwen3_vl()


@pytest.mark.parametrize(("frames", "width"), [(9, 90), (1, 60), (40, 50)])
def test_a_chat_is_read_as_by_the_library(backbone, frames: int, width: int) -> None:
    clip = clip_of(frames, 50, width)
    parts = parts_of(backbone, backbone.chat([Slot("video"), QUESTION]), clip)
    seen = backbone.load(clip, "video")
    ids = library_ids(parts, backbone.module.config.video_token_id)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == backbone.module.config.video_token_id) * 2,
        "video_grid_thw": torch.tensor([seen.grid]),
    }
    positions, _ = backbone.module.model.get_rope_index(**inputs)
    assert torch.equal(backbone.positions(parts), positions[:, 0])
    expected = backbone.module(**inputs, pixel_values_videos=seen.patches, output_hidden_states=True)
    hidden = read_deep(backbone, parts)
    torch.testing.assert_close(backbone.head(hidden), expected.logits[0], rtol=0, atol=1e-5)
    flat = [Tokens(part.values, part.grid) if isinstance(part, Tokens) else part for part in parts]
    assert (read_deep(backbone, flat) - hidden).abs().max() > 1e-3  # the deep features count


def test_a_chat_without_a_film(backbone) -> None:
    parts = parts_of(backbone, backbone.chat([QUESTION]), clip_of())
    ids = library_ids(parts, 0)
    expected = backbone.module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    torch.testing.assert_close(backbone.head(read_deep(backbone, parts)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("fps", "frames", "rate"), [(24, 121, 2), (8, 9, 2), (29.97, 100, 1), (10, 31, 5), (8, 1, 2)])
def test_time_stamps_are_those_of_the_library(fps: float, frames: int, rate: float) -> None:
    from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

    backbone = tiny_qwen3_vl(frames=QwenFrames(rate))
    clip = clip_of(frames, 20, 20, fps)
    chosen = backbone.frames(clip.times).tolist()
    times = Qwen3VLProcessor._calculate_timestamps(None, chosen, fps, 2)
    encoded = backbone.encode("video", backbone.load(clip, "video"))
    assert encoded[::3] == [f"<{time:.1f} seconds><|vision_start|>" for time in times]
    assert set(encoded[2::3]) == {"<|vision_end|>"}


def test_a_frame_that_counts_twice_has_its_own_time() -> None:
    backbone = tiny_qwen3_vl(frames=First(3))
    encoded = backbone.encode("video", backbone.load(clip_of(8, 20, 20, fps=1), "video"))
    assert encoded[::3] == ["<0.5 seconds><|vision_start|>", "<2.0 seconds><|vision_start|>"]


def test_a_clip_that_starts_late_counts_from_its_first_frame(backbone) -> None:
    pictures = film(8)
    late = Clip(video=pictures, times=torch.arange(8) / 8 + 3)
    soon = Clip(video=pictures, fps=8)
    encoded = [backbone.encode("video", backbone.load(clip, "video"))[::3] for clip in (late, soon)]
    assert encoded[0] == encoded[1]


@pytest.mark.parametrize("tracks", [("video",), ()], ids=str)
def test_the_chat_adds_no_system_turn(backbone, tracks: tuple[str, ...]) -> None:
    def text(*answer: str, closed: bool = False) -> str:
        pieces = backbone.chat([*map(Slot, tracks), QUESTION], answer, closed)
        mark = "<|vision_start|><|video_pad|><|vision_end|>"
        return "".join(mark if isinstance(piece, Slot) else piece for piece in pieces)

    asked = rendered(backbone.tokenizer, QWEN3, tracks, QUESTION)
    assert text() == asked
    assert text("Yes", closed=True) == rendered(backbone.tokenizer, QWEN3, tracks, QUESTION, "Yes")


@pytest.mark.parametrize(
    ("frames", "size", "grid"),
    [(1, (50, 90), (1, 2, 3)), (3, (91, 47), (1, 3, 2)), (41, (30, 31), (5, 2, 3))],
    ids=["one frame", "portrait of odd size", "five seconds"],
)
def test_films_of_all_kinds(backbone, frames: int, size: tuple[int, int], grid: tuple[int, int, int]) -> None:
    steps = backbone.encode("video", backbone.load(clip_of(frames, *size), "video"))[1::3]
    assert [tokens.grid for tokens in steps] == [(1, *grid[1:])] * grid[0]
    for tokens in steps:
        assert tokens.length == grid[1] * grid[2]
        assert [layer.shape for layer in tokens.deep] == [tokens.values.shape] * 2


def test_published_sizes() -> None:
    rule = tiny_qwen3_vl(min_pixels=None, max_pixels=None).patches
    assert (rule.least, rule.most, rule.total) == (128 * 32**2, 768 * 32**2, 115_200 * 32**2)
    assert rule.mean == rule.std == (0.5, 0.5, 0.5)


def test_gradients_agree_with_finite_differences() -> None:
    backbone = tiny_qwen3_vl(rounding="none")
    backbone.module.double()

    def tokens(at: Tensor) -> Tensor:
        steps = backbone.encode("video", backbone.load(Clip(video=at, fps=8), "video"))[1::3]
        return torch.cat([torch.cat([step.values, *step.deep]) for step in steps])

    # the towers rotate in single precision whatever the weights are: a large step, over 36,000 values
    check_gradient(tokens, 0.8 * film(4, 50, 60) + 0.1, step=0.1, rtol=1e-3)
