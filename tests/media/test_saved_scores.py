"""A clip that is saved and opened again has the score that it had: exactly in lossless formats, nearly in AAC."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avreward.clip import Clip
from avreward.raters import load_rater


def falling(depth: float, rate: int) -> Clip:
    """Noise whose highest bands are `depth` dB below the lowest."""
    noise = torch.randn(2 * rate, generator=torch.Generator().manual_seed(3))
    band = torch.linspace(0, 1, rate + 1)
    samples = torch.fft.irfft(torch.fft.rfft(noise) * 10 ** (-depth * band / 20), n=2 * rate)
    return Clip(audio=(0.5 * samples / samples.abs().max())[None], sample_rate=rate)


def clicks(rate: int) -> Clip:
    """Clicks over a hiss that 16 bits would change."""
    generator = torch.Generator().manual_seed(3)
    samples = (torch.rand(rate, generator=generator) < 8 / rate).float() + 5e-5 * torch.randn(rate, generator=generator)
    return Clip(audio=(0.5 * samples)[None].clamp(-1, 1), sample_rate=rate)


CLIPS = {"falling noise": falling(20, 44100), "deep noise": falling(60, 16000), "clicks": clicks(16000)}


def moved(clip: Clip, path: Path) -> float:
    rater = load_rater("signals")
    clip.save(path)
    return abs(float(rater([Clip.open(path)])["audio_quality"][0] - rater([clip])["audio_quality"][0]))


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(("ending", "most"), [("wav", 0.01), ("flac", 0.01), ("mkv", 0.01), ("m4a", 1.0)])
def test_saving_keeps_the_score(tmp_path: Path, name: str, ending: str, most: float) -> None:
    if (name, ending) == ("clicks", "m4a"):
        pytest.skip("AAC takes the hiss between the clicks away, which nobody hears")
    assert moved(CLIPS[name], tmp_path / f"x.{ending}") <= most
