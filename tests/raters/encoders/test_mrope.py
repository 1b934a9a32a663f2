"""Positions on three axes against the library's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tiny.qwen_checks import library_ids
from tiny.qwen_omni import tiny_qwen2_5_omni
from torch import Tensor

from avreward.raters.encoders._mrope import mrope
from avreward.raters.lmm.prompt import Text, Tokens

sides = st.integers(1, 6)


def seen(steps: int, rows: int, columns: int, seconds: float | None = None) -> Tokens:
    return Tokens(torch.zeros(steps * rows * columns, 1), grid=(steps, rows, columns), seconds=seconds)


def heard(length: int) -> Tokens:
    return Tokens(torch.zeros(length, 1))


@pytest.fixture(scope="module")
def omni():
    return tiny_qwen2_5_omni()


@given(
    lengths=st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)),
    grid=st.tuples(sides, sides, sides),
    frames=st.integers(3, 40),
    fps=st.sampled_from([0.3, 1.0, 1.975, 2.0, 24.0]),
    sound_first=st.booleans(),
)
def test_a_film_and_a_sound_stand_as_in_qwen2_5_omni(omni, lengths, grid, frames, fps, sound_first) -> None:
    config, library = omni.module.config, omni.module
    count = ((frames - 1) // 2 + 1 - 2) // 2 + 1
    film = [Text((config.vision_start_token_id,)), seen(*grid, seconds=2 / fps), Text((config.vision_end_token_id,))]
    sound = [Text((config.audio_start_token_id,)), heard(count), Text((config.audio_end_token_id,))]
    before, between, after = (Text((7,) * length) for length in lengths)
    items = (sound, film) if sound_first else (film, sound)
    parts = [before, *items[0], between, *items[1], after]
    ids = library_ids(parts, config.video_token_id, config.audio_token_id)
    merge = config.vision_config.spatial_merge_size
    expected, _ = library.get_rope_index(
        ids,
        video_grid_thw=torch.tensor([[grid[0], grid[1] * merge, grid[2] * merge]]),
        attention_mask=torch.ones_like(ids),
        audio_seqlens=torch.tensor([frames]),
        second_per_grids=torch.tensor([2 / fps]),
    )
    assert torch.equal(mrope(parts, config.position_id_per_seconds), expected[:, 0])


def counted(grids: list[tuple[int, int, int]], text: int, step: float) -> Tensor:
    """The rule of the paper, position by position: video, text, video, text …"""
    out: list[tuple[int, int, int]] = []
    for steps, rows, columns in grids:
        start = max((max(position) for position in out), default=-1) + 1
        out += [
            (start + int(t * step), start + row, start + column)
            for t in range(steps)
            for row in range(rows)
            for column in range(columns)
        ]
        start = max(max(position) for position in out) + 1
        out += [(start + i,) * 3 for i in range(text)]
    return torch.tensor(out).T


@given(grids=st.lists(st.tuples(sides, sides, sides), min_size=1, max_size=3), text=st.integers(1, 4))
def test_what_follows_starts_after_the_largest_position_on_any_axis(grids, text) -> None:
    words = Text((7,) * text)
    parts = [part for grid in grids for part in (seen(*grid, seconds=1.5), words)]
    assert torch.equal(mrope(parts), counted(grids, text, 1))
    assert torch.equal(mrope(parts, 2), counted(grids, text, 3))


@given(
    grids=st.lists(st.tuples(sides, sides, sides), min_size=1, max_size=2),
    text=st.integers(1, 4),
    seconds=st.sampled_from([None, 1.0, 2.0]),  # releases before 5.18 cut fractions off
)
def test_films_stand_as_in_qwen2_vl_and_qwen2_5_vl(grids, text, seconds) -> None:
    from tiny.qwen_vl import tiny_qwen2_5_vl, tiny_qwen2_vl

    backbone = (tiny_qwen2_vl if seconds is None else tiny_qwen2_5_vl)()
    rate = None if seconds is None else 2
    step = 1 if seconds is None else seconds * rate
    # the library lets text start after the last row and column, even where the video's time reaches further
    assume(all(int((steps - 1) * step) < max(rows, columns) for steps, rows, columns in grids))
    backbone.module.config.vision_config.tokens_per_second = rate
    merge = 2
    parts = [part for grid in grids for part in (Text((7,) * text), seen(*grid, seconds=seconds))]
    ids = library_ids(parts, backbone.module.config.video_token_id)
    options = {} if seconds is None else {"second_per_grid_ts": torch.tensor([seconds] * len(grids))}
    expected, _ = backbone.module.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == backbone.module.config.video_token_id) * 2,
        video_grid_thw=torch.tensor([[steps, rows * merge, columns * merge] for steps, rows, columns in grids]),
        attention_mask=torch.ones_like(ids),
        **options,
    )
    assert torch.equal(mrope(parts, rate), expected[:, 0])


def test_a_position_depends_only_on_what_stands_before() -> None:
    parts = [Text((1, 2)), seen(3, 2, 4, 1.0), heard(5), Text((3,)), seen(1, 5, 1, 1.0), Text((4, 5))]
    whole = mrope(parts, 25)
    for count in range(len(parts)):
        start = mrope(parts[:count], 25)
        assert torch.equal(start, whole[:, : start.shape[1]])


def test_nothing_to_read() -> None:
    assert mrope([]).shape == (3, 0)
    assert mrope([heard(0), Text(())]).shape == (3, 0)
