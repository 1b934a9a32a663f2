"""Qwen2-VL and Qwen2.5-VL against transformers' own models and the published chat template."""

from __future__ import annotations

import pytest
import torch
from tiny.checks import check_gradient, parts_of, read
from tiny.qwen_checks import clip_of, film, library_ids, rendered
from tiny.qwen_templates import QWEN2_VL
from tiny.qwen_vl import tiny_qwen2_5_vl, tiny_qwen2_vl
from torch import Tensor

from avreward import Clip
from avreward.raters.lmm.backbone import Backbone
from avreward.raters.lmm.prompt import Slot

QUESTION = "How good is it?"


@pytest.fixture(scope="module", params=[tiny_qwen2_vl, tiny_qwen2_5_vl], ids=["2", "2.5"])
def backbone(request):
    return request.param()


def library_inputs(backbone: Backbone, clip: Clip, parts: list) -> dict[str, Tensor]:
    """What the library's processor would give for the clip; each model takes what it knows."""
    seen = backbone.load(clip, "video")
    ids = library_ids(parts, backbone.module.config.video_token_id)
    steps = {"second_per_grid_ts": torch.tensor([seen.seconds])} if backbone.per_second else {}
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == backbone.module.config.video_token_id) * 2,
        "pixel_values_videos": seen.patches,
        "video_grid_thw": torch.tensor([seen.grid]),
        **steps,
    }


@pytest.mark.parametrize(("frames", "width"), [(16, 90), (1, 60), (17, 120)])
def test_a_chat_is_read_as_by_the_library(backbone, frames: int, width: int) -> None:
    clip = clip_of(frames, 50, width)
    parts = parts_of(backbone, backbone.chat([Slot("video"), QUESTION]), clip)
    expected = backbone.module(**library_inputs(backbone, clip, parts), output_hidden_states=True)
    hidden = read(backbone, parts)
    torch.testing.assert_close(hidden, expected.hidden_states[-1][0], rtol=0, atol=1e-5)
    torch.testing.assert_close(backbone.head(hidden), expected.logits[0], rtol=0, atol=1e-5)


def test_a_long_film_is_read_as_by_the_library_on_the_same_positions(backbone) -> None:
    clip = clip_of(40, 50, 50)
    parts = parts_of(backbone, backbone.chat([Slot("video"), QUESTION]), clip)
    positions = backbone.positions(parts)
    # text continues after the last step, which is later than the last row and column
    after_text = positions[0, -1] - parts[-1].length
    assert after_text == positions[0, : -parts[-1].length].max() > positions[1:, : -parts[-1].length].max()
    inputs = library_inputs(backbone, clip, parts) | {"position_ids": positions[:, None]}
    expected = backbone.module(**inputs).logits[0]
    torch.testing.assert_close(backbone.head(read(backbone, parts)), expected, rtol=0, atol=1e-5)


def test_a_chat_without_a_film(backbone) -> None:
    parts = parts_of(backbone, backbone.chat([QUESTION]), clip_of())
    ids = library_ids(parts, 0)
    expected = backbone.module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    torch.testing.assert_close(backbone.head(read(backbone, parts)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tracks", [("video",), ()], ids=str)
def test_the_chat_is_that_of_the_published_template(backbone, tracks: tuple[str, ...]) -> None:
    def text(*answer: str, closed: bool = False) -> str:
        pieces = backbone.chat([*map(Slot, tracks), QUESTION], answer, closed)
        mark = "<|vision_start|><|video_pad|><|vision_end|>"
        return "".join(mark if isinstance(piece, Slot) else piece for piece in pieces)

    asked = rendered(backbone.tokenizer, QWEN2_VL, tracks, QUESTION)
    assert text() == asked
    assert text("Yes") == asked + "Yes"
    assert text("Yes", closed=True) == rendered(backbone.tokenizer, QWEN2_VL, tracks, QUESTION, "Yes")


@pytest.mark.parametrize(
    ("frames", "size", "grid"),
    [(1, (50, 90), (1, 2, 3)), (3, (91, 47), (1, 3, 2)), (41, (30, 31), (5, 2, 3))],
    ids=["one frame", "portrait of odd size", "five seconds"],
)
def test_films_of_all_kinds(backbone, frames: int, size: tuple[int, int], grid: tuple[int, int, int]) -> None:
    clip = clip_of(frames, *size)
    start, tokens, end = backbone.encode("video", backbone.load(clip, "video"))
    assert (start, end) == ("<|vision_start|>", "<|vision_end|>")
    assert tokens.grid == grid
    assert tokens.length == grid[0] * grid[1] * grid[2]
    assert tokens.values.isfinite().all()


def test_published_sizes() -> None:
    for tiny, total in ((tiny_qwen2_vl, 24_576), (tiny_qwen2_5_vl, 115_200)):
        rule = tiny(min_pixels=None, max_pixels=None).patches
        assert (rule.least, rule.most, rule.total) == (128 * 28**2, 768 * 28**2, total * 28**2)


@pytest.mark.parametrize(("fps", "frames", "seconds"), [(24, 48, 1.0), (16, 81, 1.0125), (2, 2, 1.0), (8, 1, 0.0)])
def test_a_step_lasts_as_long_as_two_chosen_frames(fps: int, frames: int, seconds: float) -> None:
    backbone = tiny_qwen2_5_vl()
    tokens = backbone.encode("video", backbone.load(clip_of(frames, 30, 30, fps), "video"))[1]
    # 2 / sample_fps of qwen-vl-utils, whose sample_fps is chosen / all · fps
    assert tokens.seconds == pytest.approx(seconds)


def test_plain_positions_count_on_through_a_film() -> None:
    backbone = tiny_qwen2_vl(plain_positions=True)
    clip = clip_of()
    parts = parts_of(backbone, backbone.chat([Slot("video"), QUESTION]), clip)
    positions = backbone.positions(parts)
    length = sum(part.length for part in parts)
    assert torch.equal(positions, torch.arange(length).expand(3, -1))
    # the library does the same if it is given embeddings and nothing else
    ids = library_ids(parts, backbone.module.config.video_token_id)
    embeds = backbone.module.get_input_embeddings()(ids)
    embeds[:, ids[0] == backbone.module.config.video_token_id] = parts[1].values
    expected = backbone.language(inputs_embeds=embeds).last_hidden_state[0]
    torch.testing.assert_close(read(backbone, parts), expected, rtol=0, atol=1e-5)
    assert backbone.settings["positions"] != tiny_qwen2_vl().settings["positions"]


@pytest.mark.parametrize("tiny", [tiny_qwen2_vl, tiny_qwen2_5_vl])
def test_gradients_agree_with_finite_differences(tiny) -> None:
    backbone = tiny(rounding="none")
    backbone.module.double()

    def tokens(at: Tensor) -> Tensor:
        return backbone.encode("video", backbone.load(Clip(video=at, fps=8), "video"))[1].values

    # parts of the towers are single precision whatever the weights are: a large step, over 36,000 values
    check_gradient(tokens, 0.8 * film(4, 50, 60) + 0.1, step=0.1, rtol=1e-3)
