"""The encoder of sound effects: its front end against direct sums, its network against the package."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.raters.listener import SoundEffectsNetwork, SoundEffectsRater, _installed, installed_sound_effects
from avreward.raters.listener import sound_effects as module

GENERATOR = torch.Generator()


def tiny():
    torch.manual_seed(0)
    return SoundEffectsRater(SoundEffectsNetwork(16))


def test_the_spectrogram_is_that_of_direct_sums():
    wave = torch.rand(8192, generator=GENERATOR.manual_seed(1)) - 0.5
    mel = module.SoundEffectsMel()(wave)
    assert mel.shape == (9, 96)
    start = 3 * 1024 - 1024  # frame 3, centred
    n = torch.arange(2048, dtype=torch.float64)
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi * n / 2048)
    power = torch.fft.rfft(wave[start : start + 2048].double() * hann).abs().square()
    hertz = torch.arange(1025) * 44100 / 2048
    peak = [700 * (10 ** (m * 2595 * math.log10(1 + 22050 / 700) / 97 / 2595) - 1) for m in (40, 41, 42)]
    scale = [math.log(1 + f / 700) for f in peak]
    at = torch.log(1 + hertz.double() / 700)
    band = torch.minimum((at - scale[0]) / (scale[1] - scale[0]), (scale[2] - at) / (scale[2] - scale[1])).clamp_min(0)
    expected = math.log10(1 + 1e4 * float(power @ band / band.sum())) / 9.457798957824707
    assert float(mel[3, 40]) == pytest.approx(expected, rel=1e-5)


def test_blocks_are_averaged_and_gradients_reach_the_waveform():
    rater = tiny()
    rate = 44100
    wave = (torch.rand(1, 7 * rate, generator=GENERATOR.manual_seed(2)) - 0.5).requires_grad_()
    clip = Clip(audio=wave, sample_rate=rate)
    found = rater([clip]).values[0]
    mel = rater.mel(wave[0])
    blocks = torch.stack([mel[i : i + 100] for i in range(0, len(mel) - 99, 50)])
    assert torch.allclose(found, rater.module(blocks).mean(0), atol=1e-6)
    found.sum().backward()
    assert wave.grad.abs().sum() > 0
    short = Clip(audio=wave.detach()[:, :rate], sample_rate=rate)
    together = rater([short, Clip(audio=wave.detach(), sample_rate=rate)]).values
    assert torch.allclose(together[0], rater([short]).values[0], atol=1e-6)
    assert torch.allclose(together[1], found.detach(), atol=1e-6)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(_installed, "find_spec", lambda name: None)
    with pytest.raises(AvrewardError, match=r"install it: pip install --no-deps aisfx==0.1.2"):
        installed_sound_effects()


def test_the_network_is_that_of_the_package():
    spec = importlib.util.find_spec("aisfx")
    if spec is None:
        pytest.skip("no aisfx; pip install --no-deps aisfx==0.1.2")
    place = Path(spec.submodule_search_locations[0]) / "models" / "cnn2d.py"
    loaded = importlib.util.spec_from_file_location("cnn2d", place)
    theirs = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(theirs)
    rater = installed_sound_effects()
    network = theirs.EmbeddingNet("max", 3, 1, 64).eval()
    network.load_state_dict(rater.module.state_dict())
    blocks = torch.rand(3, 100, 96, generator=GENERATOR.manual_seed(3))
    with torch.no_grad():
        assert torch.equal(network(blocks), rater.module(blocks))
