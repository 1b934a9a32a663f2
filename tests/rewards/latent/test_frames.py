"""Which frames are chosen, and which latents they need."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.rewards.latent._frames import FrameGrid, LatentWindow, choose, windows

GRIDS = st.builds(
    FrameGrid,
    st.sampled_from([2, 4, 8]),
    before=st.sampled_from([None, 1, 3]),
    after=st.sampled_from([None, 0, 2]),
) | st.just(FrameGrid(1, before=0, after=0))


@given(st.integers(1, 100), st.integers(1, 12), st.sampled_from(["all", "first", "last", "uniform", "random"]))
def test_chosen_frames_ascend_and_are_there(total, count, frames):
    found = choose(total, frames, count, torch.Generator())
    assert found == sorted(set(found))
    assert 0 <= found[0] <= found[-1] < total
    assert len(found) == {"all": total, "first": 1, "last": 1}.get(frames, min(count, total))


def test_uniform_frames_are_the_middles_of_equal_parts():
    assert choose(81, "uniform", 3, torch.Generator()) == [13, 40, 67]
    assert choose(9, "uniform", 1, torch.Generator()) == [4]


def test_every_frame_may_be_drawn():
    generator = torch.Generator().manual_seed(0)
    assert {choose(6, "random", 1, generator)[0] for _ in range(100)} == set(range(6))


def test_the_first_latent_has_one_frame():
    grid = FrameGrid(4)
    assert [grid.frames(n) for n in (1, 2, 21)] == [1, 5, 81]
    assert [grid.latent_of(f) for f in (0, 1, 4, 5, 80)] == [0, 1, 1, 2, 20]


@given(GRIDS, st.integers(1, 20), st.data())
def test_windows_cover_what_each_frame_depends_on(grid, latents, data):
    """Decoding a window gives the frames that belong to its latents, the first of which gives but its last."""
    total = grid.frames(latents)
    chosen = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    found = []
    for window in windows(grid, latents, chosen):
        assert 0 <= window.start < window.stop <= latents
        for picked in window.picked:
            assert 0 <= picked < grid.frames(window.stop - window.start)
            frame = window.start * grid.ratio + picked
            own = grid.latent_of(frame)
            assert window.start <= (0 if grid.before is None else max(0, own - grid.before))
            assert window.stop >= (latents if grid.after is None else min(latents, own + grid.after + 1))
            found.append(frame)
    assert found == chosen


def test_windows_are_no_larger_than_needed():
    assert windows(FrameGrid(4, before=None, after=0), 21, [0, 6]) == [LatentWindow(0, 3, (0, 6))]
    assert windows(FrameGrid(4, before=1, after=1), 21, [0, 40]) == [
        LatentWindow(0, 2, (0,)),
        LatentWindow(9, 12, (4,)),
    ]
    assert windows(FrameGrid(1, before=0, after=0), 9, [2, 7]) == [LatentWindow(2, 3, (0,)), LatentWindow(7, 8, (0,))]
    assert windows(FrameGrid(8, before=None, after=None), 5, [0]) == [LatentWindow(0, 5, (0,))]


@pytest.mark.parametrize("ratio", [1, 4])
def test_all_frames_take_one_window(ratio):
    grid = FrameGrid(ratio, before=1, after=1)
    total = grid.frames(5)
    assert windows(grid, 5, range(total)) == [LatentWindow(0, 5, tuple(range(total)))]
