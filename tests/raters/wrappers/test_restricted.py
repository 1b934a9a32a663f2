"""A restricted rater gives the same scores, and gradients that move fewer tracks."""

from __future__ import annotations

import pytest
import torch
from toy_raters import Toy

from avreward import ArgumentError, Clip, load_rater, load_reward
from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.raters.wrappers import Linear, calibrated, restricted
from avreward.rewards.latent import LatentReward


def joint() -> tuple[Clip, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(8, 3, 32, 32, generator=generator).requires_grad_()
    audio = (torch.rand(1, 16000, generator=generator) - 0.5).requires_grad_()
    return Clip(video=video, fps=8, audio=audio, sample_rate=16000), video, audio


def moves(rater: Rater, name: str) -> list[bool]:
    clip, *tracks = joint()
    (value,) = rater[name]([clip])
    if not value.requires_grad:
        return [False, False]
    return [g is not None and bool(g.any()) for g in torch.autograd.grad(value, tracks, allow_unused=True)]


def test_gradients_are_narrowed_and_scores_are_not():
    plain = load_rater("signals")
    rater = restricted(plain, {"av_consistency": "audio", "overall": ["video"], "audio_quality": ()})
    clip, *_ = joint()
    assert torch.equal(rater([clip]).values.nan_to_num(), plain([clip]).values.nan_to_num())
    assert rater([clip]).dimensions == rater.dimensions
    assert rater.fingerprint == plain.fingerprint
    assert moves(plain, "av_consistency") == moves(plain, "overall") == [True, True]
    assert moves(rater, "av_consistency") == [False, True]
    assert moves(rater, "overall") == [True, False]
    assert moves(rater, "audio_quality") == [False, False]
    assert moves(rater, "static_quality") == [True, False]


def test_the_gradient_that_is_left_is_the_same():
    clip, _, audio = joint()
    plain = load_rater("signals")
    rater = restricted(plain, {"av_consistency": "audio"})
    left, whole = (torch.autograd.grad(r["av_consistency"]([clip])[0], audio)[0] for r in (rater, plain))
    torch.testing.assert_close(left, whole)


def test_restrictions_add_up_and_calibration_keeps_them():
    toy = Toy()
    on_scale = calibrated(restricted(toy, {"overall": "audio"}), {"overall": Linear(4.0, 1.0, 1.0, 5.0)})
    assert moves(on_scale, "overall") == [False, True]
    assert moves(restricted(restricted(toy, {"overall": "audio"}), {"overall": ()}), "overall") == [False, False]
    with pytest.raises(ArgumentError, match=r"streams of overall: expected some of .* \(audio\), got video"):
        restricted(restricted(toy, {"overall": "audio"}), {"overall": "video"})
    with pytest.raises(ArgumentError, match=r"streams of power: .* \(audio\), got audio, video"):
        restricted(toy, {"power": ["audio", "video"]})
    with pytest.raises(KeyError, match="did you mean 'power'"):
        restricted(toy, {"powr": "audio"})


def test_a_restricted_rater_is_another_one_to_rewards():
    plain = load_rater("signals")
    rater = restricted(plain, {"av_consistency": "audio"})
    assert rater["audio_quality"] == plain["audio_quality"]
    assert rater["av_consistency"] != plain["av_consistency"]
    with pytest.raises(ValueError, match="one rater named 'signals', got two different ones"):
        rater["av_consistency"] + plain["av_consistency"]
    rater.name = "quiet"
    reward = rater["av_consistency"] + plain["av_consistency"]
    clip, video, _ = joint()
    whole = torch.autograd.grad(reward([clip])[0], video)[0]
    torch.testing.assert_close(whole, torch.autograd.grad(plain["av_consistency"]([clip])[0], video)[0])


def test_files_keep_the_restriction(tmp_path):
    rater = restricted(load_rater("signals"), {"av_consistency": "audio", "overall": ()})
    reward = 0.5 * rater["av_consistency"] + rater["overall"]
    path = reward.save(tmp_path / "mine.yaml")
    again = load_reward(path)
    assert again == reward
    assert again.raters[0].source == {"rater": "signals", "streams": {"av_consistency": ["audio"], "overall": []}}
    clip, video, audio = joint()
    gradients = torch.autograd.grad(again([clip])[0], [video, audio], allow_unused=True)
    assert gradients[0] is None
    assert gradients[1] is not None
    both = calibrated(restricted(load_rater("signals"), {"overall": "audio"}), {"overall": Linear(0.04, 1.0, 1.0, 5.0)})
    other = both["overall"]
    assert load_reward(other.save(tmp_path / "other.yaml")) == other
    assert restricted(Toy(), {"overall": "audio"}).source is None


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            "audio",
            "streams: expected a list of tracks per dimension, got 'audio'; write it as in streams: {audio",
        ),
        ("{overall: audio}", "streams: expected a list of tracks per dimension"),
        ("{audio_quality: [video]}", r"streams of audio_quality: expected some of .* \(audio\), got video"),
        ("{loudnes: [audio]}", "dimension of signals: .*did you mean 'loudness'"),
    ],
)
def test_mistakes_in_files_are_named(tmp_path, told, says):
    path = tmp_path / "bad.yaml"
    path.write_text(f"reward: overall\nraters:\n  signals: {{rater: signals, streams: {told}}}\n")
    with pytest.raises(AvrewardError, match=f"bad.yaml: the rater signals: .*{says}"):
        load_reward(path)


def test_latents_of_the_other_track_stay_where_they_are():
    """Two latents, one joint clip: the audio term leaves the video's latents alone, slice by slice."""
    from tiny_ltx2 import tiny_ltx2

    pipe = tiny_ltx2()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 3, 8, 8, generator=generator).requires_grad_()
    sounds = torch.randn(2, 2, 28, 4, generator=generator).requires_grad_()
    rater = restricted(load_rater("signals"), {"av_consistency": "audio"})
    reward = LatentReward(pipe, rater["audio_quality"] + rater["av_consistency"], fps=8)
    reward(latents, sounds).sum().backward()
    assert latents.grad is None or not latents.grad.any()
    assert sounds.grad is not None
    assert sounds.grad.any()


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (3, "streams: expected a mapping of dimensions to tracks, got 3; pass"),
        ({"power": 3}, "streams of power: expected 'audio', 'video', or several of them, got 3"),
    ],
)
def test_streams_of_wrong_types(streams, said):
    with pytest.raises(ArgumentError, match=said):
        restricted(Toy(), streams)
