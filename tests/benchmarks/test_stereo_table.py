"""The benchmark of `signals.stereo`: its scenes are panned as they say."""

from __future__ import annotations

import pytest
import stereo
import torch


@pytest.mark.parametrize("cue", stereo.CUES)
def test_the_far_ear_hears_it_weaker_or_later(cue) -> None:
    sound = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    right = torch.ones(4000)
    decibels, lag = (0.0 if cue == "time" else 12.0), (0.0 if cue == "level" else 0.5e-3)
    near, far = stereo._ear(sound, right, decibels, lag, 16000), stereo._ear(sound, -right, decibels, lag, 16000)
    torch.testing.assert_close(near, sound)
    late = 0 if cue == "level" else 8
    gain = 10 ** (-decibels / 20)
    torch.testing.assert_close(far[100:], gain * sound[100 - late : 4000 - late], atol=1e-4, rtol=1e-4)


def test_mirrored_channels_are_exchanged_and_rates_have_intervals() -> None:
    clip = stereo.panned(0, "vehicle", "level", seconds=0.6)
    assert torch.equal(stereo.mirrored(clip).audio, clip.audio.flip(0))
    assert stereo.rate_of([True] * 3 + [False]) == "0.750 (0.301–0.954)"
