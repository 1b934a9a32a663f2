"""What takes the place of a moment or a region: nothing happens there, and all else is kept."""

import pytest
import torch

from avreward.audit._substitutes import (
    audio_without_moment,
    block_masks,
    blurred,
    frames_between,
    video_without_moment,
    video_without_region,
)

RATE = 1000


def ramp(count: int = 8) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float64)[:, None, None, None].expand(count, 3, 4, 4).clone()


def test_frames_between():
    times = torch.arange(8) / 4
    assert frames_between(times, 0.5, 1.0) == (2, 4)
    assert frames_between(times, 5.0, 6.0) == (0, 0)


def test_a_moment_of_video_fades_from_before_to_after():
    video = ramp()
    video[3:5] = 99.0
    assert torch.allclose(video_without_moment(video, 3, 5), ramp())
    assert float(video[3, 0, 0, 0]) == 99.0  # the clip's own frames are not written to


def test_at_an_end_the_other_side_stays():
    video = ramp()
    assert video_without_moment(video, 0, 2)[:2].unique().tolist() == [2.0]
    assert video_without_moment(video, 6, 8)[6:].unique().tolist() == [5.0]


def test_a_moment_of_audio_is_turned_down_to_the_quiet_level():
    time = torch.arange(4 * RATE) / RATE
    audio = 0.5 * torch.sin(2 * torch.pi * 100 * time)[None]
    audio[:, 1000:2000] *= 0.01
    changed = audio_without_moment(audio, RATE, 2.5, 3.0)
    assert torch.equal(changed[:, :2480], audio[:, :2480])
    assert torch.equal(changed[:, 3020:], audio[:, 3020:])
    assert float(changed[:, 2520:2980].square().mean().sqrt()) == pytest.approx(
        float(audio[:, 1100:1900].square().mean().sqrt()), rel=0.05
    )
    quiet = audio_without_moment(audio, RATE, 1.2, 1.6)  # nothing to turn down
    assert torch.allclose(quiet, audio, atol=1e-6)


def test_masks_add_up_to_one_and_are_soft():
    masks = block_masks(30, 40, (3, 4))
    total = sum(down[:, None] * across[None] for down, across in masks.values())
    assert torch.allclose(total, torch.ones(30, 40))
    down, _ = masks[1, 0]
    assert float(down[15]) == 1.0
    assert float(down[0]) == 0.0
    assert 0 < float(down[10]) < 1


def test_a_region_loses_its_detail_and_keeps_its_light():
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).double().expand(2, 3, 32, 32).clone()
    soft = blurred(board, (2, 2))
    changed = video_without_region(board, soft, block_masks(32, 32, (2, 2))[0, 0])
    inside = changed[..., 2:10, 2:10]
    assert float(inside.std()) < 1e-6
    assert float(inside.mean()) == pytest.approx(0.5)
    assert torch.equal(changed[..., 20:, 20:], board[..., 20:, 20:])
