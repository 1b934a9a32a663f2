"""A head on latents: it learns what they say, its error is that on clips it never saw, and it is kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError
from avreward.rewards import LatentHead, fit_latent_head


def test_a_head_learns_a_reward_and_its_error_is_that_on_clips_it_never_saw(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(240, 5, 7, 3, generator=draw)
    rewards = 2 + x[:, 1].mean((1, 2)) + 0.5 * x[:, 2].std((1, 2))
    head = fit_latent_head({"video": x}, rewards, groups=[i // 4 for i in range(240)], epochs=40, learning_rate=1e-2)
    assert head.error is not None
    assert head.error.clips == 60
    assert head.error.srcc > 0.9
    assert head.error.rmse < 0.5 * head.error.deviation
    fresh = torch.randn(200, 5, 7, 3, generator=draw)
    true = 2 + fresh[:, 1].mean((1, 2)) + 0.5 * fresh[:, 2].std((1, 2))
    rmse = float(((head({"video": fresh}) - true) ** 2).mean().sqrt())
    assert rmse == pytest.approx(head.error.rmse, rel=0.4)
    noise = fit_latent_head({"video": x}, torch.randn(240, generator=draw), epochs=10)
    assert noise.error is not None
    assert abs(noise.error.srcc) < 0.4
    assert noise.error.rmse > 0.9 * noise.error.deviation

    head.save(tmp_path / "head.safetensors")
    again = LatentHead.load(tmp_path / "head.safetensors")
    assert again.error == head.error
    assert torch.equal(again({"video": fresh}), head({"video": fresh}))
    (tmp_path / "other").write_bytes(b"none")
    with pytest.raises(AvrewardError, match=r"expected a file that LatentHead\.save wrote"):
        LatentHead.load(tmp_path / "other")


def test_packed_latents_have_their_channels_last() -> None:
    x = torch.randn(40, 9, 4, generator=torch.Generator().manual_seed(0))
    head = fit_latent_head({"audio": x}, x[..., 2].mean(1), axes={"audio": 2}, epochs=5)
    shuffled = x[:, torch.randperm(9)]
    torch.testing.assert_close(head({"audio": shuffled}), head({"audio": x}))
    with pytest.raises(ArgumentError, match="latents of audio: expected 4 channels at axis 2"):
        head({"audio": x.transpose(1, 2)})
    with pytest.raises(ArgumentError, match="latents: expected those of audio, got video"):
        head({"video": x})


@pytest.mark.parametrize(
    ("rewards", "options", "said"),
    [
        (torch.full((16,), torch.nan), {}, "rewards: expected finite numbers of at least 8 clips"),
        (torch.ones(16), {}, "rewards: expected rewards that differ"),
        (torch.arange(16.0), {"groups": ["a"] * 16}, "groups: expected at least two"),
        (torch.arange(16.0), {"held_out": 1.0}, "held_out: expected a share"),
    ],
)
def test_what_nothing_can_be_fitted_to(rewards: Tensor, options: dict, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        fit_latent_head({"video": torch.randn(16, 3)}, rewards, **options)
