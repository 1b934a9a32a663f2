import pytest
import torch
from scipy.signal import lfilter
from signal_inputs import noise, sound

from avreward.raters.signals import _loudness as level
from avreward.raters.signals._gates import hard, soft


def sine(frequency, seconds, rate, amplitude=1.0):
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return amplitude * torch.sin(2 * torch.pi * frequency * t)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_loudness_of_the_calibration_tone_of_bs1770(rate):
    assert float(level.loudness(sound(sine(997, 5, rate), rate), hard)) == pytest.approx(-3.01, abs=0.05)
    stereo = torch.stack([sine(997, 5, rate, 0.1)] * 2)
    assert float(level.loudness(sound(stereo, rate), hard)) == pytest.approx(-20.0, abs=0.05)


def test_k_filters_are_the_table_of_bs1770_at_48_khz():
    (b, a), (_, a_high) = level._k_filters(48_000)
    assert b == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285), abs=1e-8)
    assert a[1:] == pytest.approx((-1.69065929318241, 0.73248077421585), abs=1e-8)
    assert a_high[1:] == pytest.approx((-1.99004745483398, 0.99007225036621), abs=1e-8)


def test_loudness_gates_leave_silence_and_quiet_parts_out():
    tone = sine(997, 4, 16_000, 0.1)
    with_pause = torch.cat([tone, torch.zeros(8 * 16_000, dtype=torch.float64)])
    assert float(level.loudness(sound(with_pause), hard)) == pytest.approx(-23.01, abs=0.3)
    quiet = torch.cat([tone, sine(997, 8, 16_000, 0.01)])  # 20 LU below: under the relative gate
    assert float(level.loudness(sound(quiet), hard)) == pytest.approx(-23.01, abs=0.3)
    assert float(level.loudness(sound(quiet), soft)) == pytest.approx(-23.01, abs=0.5)


@pytest.mark.parametrize("gain", [1.0, 0.3])
@pytest.mark.parametrize("gate", [soft, hard])
def test_clipping_is_the_share_of_flat_tops_at_any_gain(gate, gain):
    wave = noise(60_000)
    limit = wave.abs().quantile(0.95)
    clipped = gain * wave.clamp(-limit, limit)
    natural, flat = float(level.clipping(sound(gain * wave), gate)), float(level.clipping(sound(clipped), gate))
    if gate is hard:
        assert natural < 0.02
        assert flat == pytest.approx(5, rel=0.15)
    else:  # noise has more samples near its peak than sounds with a decay
        assert natural < 0.3
        assert 5 < flat < 17


def smeared(wave, share=0.3):
    """Return the wave without its upper frequencies, so that a flat top has ripples, as from a codec."""
    spectrum = torch.fft.rfft(wave)
    spectrum[..., int(share * spectrum.shape[-1]) :] = 0
    return torch.fft.irfft(spectrum, wave.shape[-1])


def test_a_flat_top_that_a_codec_smeared_counts_as_clipping():
    clean = smeared(noise(60_000) * torch.exp(-(torch.arange(60_000) % 8000) / 2000))
    limit = clean.abs().quantile(0.85)
    clipped = smeared(clean.clamp(-limit, limit), 0.5)
    assert float(level.clipping(sound(clipped), hard)) < 0.1  # the flat top itself is gone
    assert float(level.clipping(sound(clean), soft)) < 0.1
    assert float(level.clipping(sound(clipped), soft)) > 0.9


@pytest.mark.parametrize("gain", [0.3, 3.0, 30.0, 3000.0])
def test_clipping_is_a_share_of_all_samples_and_more_of_an_overdriven_tone(gain):
    tone = sine(300, 1, 16_000, 0.3) + 0.01 * noise(16_000)
    found = float(level.clipping(sound((gain * tone).clamp(-0.5, 0.5)), soft))
    assert 0 < found <= 100
    assert (found < 4) == (gain == 0.3)


def test_silence_is_the_share_of_quiet_time():
    wave = torch.cat([sine(440, 3, 16_000, 0.1), torch.zeros(16_000, dtype=torch.float64)])
    assert float(level.silence(sound(wave), hard)) == pytest.approx(25, abs=1)
    assert float(level.silence(sound(wave), soft)) == pytest.approx(25, abs=1)


def test_dropouts_are_gaps_inside_sound_and_not_pauses_or_decays(strikes):
    wave = 0.1 * noise(64_000)
    holes = wave.clone()
    for start in (5000, 20_000, 41_000, 55_000):
        holes[start : start + 800] = 0  # 50 ms each: 5 % of the time
    assert float(level.dropouts(sound(wave), hard)) == 0
    assert float(level.dropouts(sound(holes), hard)) == pytest.approx(5, abs=0.6)
    assert float(level.dropouts(sound(holes), soft)) == pytest.approx(5, abs=0.6)
    pause = wave.clone()
    pause[20_000:40_000] = 0
    assert float(level.dropouts(sound(pause), hard)) < 0.5
    assert float(level.dropouts(sound(strikes[0]), hard)) < 0.5


def test_attack_decay_asymmetry_turns_its_sign_with_time(strikes):
    forward = float(level.attack_decay_asymmetry(sound(strikes[0]), soft))
    backward = float(level.attack_decay_asymmetry(sound(strikes[0].flip(-1)), soft))
    assert forward > 1
    assert backward == pytest.approx(-forward, rel=0.1)
    assert abs(float(level.attack_decay_asymmetry(sound(noise(64_000)), soft))) < 0.2


def test_attack_decay_asymmetry_does_not_depend_on_the_sample_rate_or_treble():
    rise = 0.3 * noise(96_000) * torch.exp(-(torch.arange(96_000) % 16_000) / 1000)
    low = smeared(rise, 0.45)  # nothing above 7.2 kHz at 32 kHz
    at_16 = torch.fft.irfft(torch.fft.rfft(low)[:24_001], 48_000) / 2
    hiss = 1e-3 * (noise(96_000, seed=3) - smeared(noise(96_000, seed=3), 0.55))  # above 8.8 kHz
    found = [
        float(level.attack_decay_asymmetry(sound(wave, rate), soft))
        for wave, rate in ((low, 32_000), (at_16, 16_000), (low + hiss, 32_000))
    ]
    assert found[0] > 1
    assert found[1:] == pytest.approx([found[0]] * 2, rel=0.03)


def test_noise_floor_is_the_level_of_the_quiet_frames(strikes):
    floor = float(level.noise_floor(sound(strikes[0] + 10 ** (-50 / 20) * noise(64_000, seed=1)), soft))
    assert floor == pytest.approx(-50, abs=3)  # what rings on counts a little
    assert float(level.noise_floor(sound(torch.zeros(16_000)), soft)) == pytest.approx(-100, abs=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_soft_peak_is_that_of_all_samples(dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.rand(3, 5000, generator=generator, dtype=torch.float64).to(dtype)
    levels[1].clamp_(max=0.6)  # a flat top
    levels[2] = 0.0
    levels.requires_grad_()
    every = torch.logsumexp(4000 * levels, -1, keepdim=True) / 4000
    peak = level._soft_peak(levels)
    torch.testing.assert_close(peak, every, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)
    for ours, theirs in zip(*(torch.autograd.grad(x.sum(), levels) for x in (peak, every)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rate", [4000, 8000, 22050, 44100, 48000])
@pytest.mark.parametrize("samples", [1, 900, 30_001])
def test_k_weighting_is_the_published_recursion(rate, samples):
    wave = torch.stack([noise(samples), 0.5 + noise(samples, seed=1)])  # a step at the start rings longest
    expected = wave.numpy()
    for b, a in level._k_filters(rate):
        expected = lfilter(b, a, expected)
    assert level._k_weighted(wave, rate).numpy() == pytest.approx(expected, abs=1e-8)
