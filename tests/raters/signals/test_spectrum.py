import pytest
import torch
from signal_inputs import noise, sound

from avreward.raters.signals import _spectrum as spectrum
from avreward.raters.signals._gates import hard, soft


def low_passed(wave, share):
    spectrum_ = torch.fft.rfft(wave)
    spectrum_[..., int(share * spectrum_.shape[-1]) :] = 0
    return torch.fft.irfft(spectrum_, wave.shape[-1])


@pytest.mark.parametrize("gate", [soft, hard])
def test_bandwidth_is_where_the_spectrum_ends(gate):
    wave = 0.1 * noise(96_000)
    assert float(spectrum.bandwidth(sound(wave, 32_000), gate)) == pytest.approx(16, rel=0.12)
    assert float(spectrum.bandwidth(sound(low_passed(wave, 0.25), 32_000), gate)) == pytest.approx(4, rel=0.2)


def test_signal_to_noise_falls_by_about_what_the_noise_rises(strikes):
    at = [
        float(spectrum.signal_to_noise(sound(strikes[0] + g * noise(64_000, seed=2)), soft)) for g in (1e-3, 1e-2, 0.1)
    ]
    assert at[0] > at[1] + 4 > at[2] + 8


def test_flatness_is_zero_for_white_noise_and_far_below_for_coloured():
    white = 0.1 * noise(64_000)
    assert float(spectrum.flatness(sound(white), soft)) == pytest.approx(0, abs=0.5)
    assert float(spectrum.flatness(sound(low_passed(white, 0.2)), soft)) < -10


@pytest.mark.parametrize("mains", [50, 60])
def test_hum_is_heard_at_either_mains_frequency(mains):
    t = torch.arange(64_000, dtype=torch.float64) / 16_000
    lines = sum(0.02 / k * torch.sin(2 * torch.pi * mains * k * t) for k in (1, 2, 3, 4))
    base = 0.01 * noise(64_000)
    assert float(spectrum.hum(sound(base), soft)) < 4
    assert float(spectrum.hum(sound(base + lines), soft)) > float(spectrum.hum(sound(base), soft)) + 5
