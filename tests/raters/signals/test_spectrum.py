import math
from itertools import pairwise

import pytest
import torch
from signal_inputs import noise, sound

from avreward.raters.signals import _spectrum as spectrum
from avreward.raters.signals._gates import hard, soft


def low_passed(wave, share):
    spectrum_ = torch.fft.rfft(wave)
    spectrum_[..., int(share * spectrum_.shape[-1]) :] = 0
    return torch.fft.irfft(spectrum_, wave.shape[-1])


def bursts(samples, rate):
    """Return decaying bursts of white noise with dead pauses (samples,): all frequencies, and no floor."""
    beat = rate // 2
    time = torch.arange(samples, dtype=torch.float64) % beat / rate
    return 0.3 * noise(samples) * torch.exp(-time / 0.02)


def upsampled(wave):
    """Return the wave at 16 kHz and the same one at 32 kHz."""
    spectrum_ = torch.fft.rfft(wave)
    return (wave, 16_000), (2 * torch.fft.irfft(spectrum_, 2 * wave.shape[-1]), 32_000)


@pytest.mark.parametrize("gate", [soft, hard])
def test_bandwidth_is_where_the_spectrum_ends(gate):
    wave = bursts(96_000, 32_000)
    assert float(spectrum.bandwidth(sound(wave, 32_000), gate)) == pytest.approx(16, rel=0.12)
    assert float(spectrum.bandwidth(sound(low_passed(wave, 0.25), 32_000), gate)) == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("gate", [soft, hard])
def test_noise_narrows_the_bandwidth_and_is_no_treble(gate):
    dull = low_passed(bursts(96_000, 32_000), 0.25) + 1e-5 * noise(96_000, seed=3)
    widths = [
        float(spectrum.bandwidth(sound(dull + g * noise(96_000, seed=2), 32_000), gate)) for g in (0, 1e-3, 1e-2, 0.1)
    ]
    assert max(widths) < 1.25 * widths[0]
    assert widths[3] < 2 < 3.5 < widths[0] < 4.5
    brought = [
        float(spectrum.bandwidth(sound(bursts(96_000, 32_000) + g * noise(96_000, seed=2), 32_000), gate))
        for g in (0, 1e-3, 1e-2)
    ]
    assert all(after < 1.02 * before for before, after in pairwise(brought))


def test_the_bandwidth_of_a_sound_does_not_depend_on_its_sample_rate():
    wave = low_passed(bursts(32_000, 16_000), 0.8)
    before, after = (float(spectrum.bandwidth(sound(w, r), soft)) for w, r in upsampled(wave))
    assert after == pytest.approx(before, rel=0.03)


@pytest.mark.parametrize("seconds", [0.012, 0.031, 0.05])
def test_where_a_sound_breaks_off_into_padding_its_click_is_no_treble(seconds):
    wave = low_passed(bursts(40_000, 16_000), 0.25)[:39_000] + 1e-3 * noise(39_000, seed=3)
    wave[-400:] += 0.3 * torch.sin(torch.arange(400) * 0.3)  # cut off at its loudest
    zeros = torch.zeros(round(seconds * 16_000), dtype=wave.dtype)
    before, after = (float(spectrum.bandwidth(sound(w), soft)) for w in (wave, torch.cat([wave, zeros])))
    assert after == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("gate", [soft, hard])
def test_hiss_is_the_density_of_the_noise_under_a_sound(gate):
    quiet, loud = (1e-3 * noise(64_000, seed=2), 1e-2 * noise(64_000, seed=2))
    assert float(spectrum.hiss(sound(loud), gate)) == pytest.approx(-40 - 10 * math.log10(8000), abs=5)
    for wave in (quiet, loud):
        under = wave + bursts(64_000, 16_000)
        assert float(spectrum.hiss(sound(under), gate)) == pytest.approx(float(spectrum.hiss(sound(wave), gate)), abs=3)
    coloured = torch.cumsum(noise(64_000, seed=2), 0)
    coloured = 0.1 * (coloured - coloured.mean()) / coloured.std()
    assert float(spectrum.hiss(sound(coloured), gate)) < float(spectrum.hiss(sound(0.1 * noise(64_000)), gate)) - 15


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


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_lowest_bins_come_with_the_sum_over_all(size, channels):
    wave = (0.3 + noise(channels, 2000)).requires_grad_()  # with a constant, and power at the Nyquist frequency
    window = sound(wave)
    whole = window.power_spectrum(size, 20)
    some, total = window.lowest_bins(size, 20, 7)
    torch.testing.assert_close(some, whole[:, :7])
    torch.testing.assert_close(total, whole.sum(1))
    gradients = (torch.autograd.grad(each.log().sum(), wave, retain_graph=True)[0] for each in (total, whole.sum(1)))
    torch.testing.assert_close(*gradients)


def test_the_sum_over_all_bins_has_a_gradient_in_silence():
    wave = torch.zeros(1, 2000, dtype=torch.float64, requires_grad=True)
    _, total = sound(wave).lowest_bins(64, 20, 7)
    (total + 1e-9).log().sum().backward()
    assert float(wave.grad.abs().max()) == 0
