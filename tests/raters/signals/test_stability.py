"""What nobody hears or sees must not move a score: zeros, fades, dither and padding at the ends, and other edits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from signal_inputs import noise, sound
from stability_edits import EDITS, dither, padded

from avreward.audit.inputs import PROBES
from avreward.clip import Clip
from avreward.datasets.synthetic.scenes import scene
from avreward.raters.signals import _spectrum as spectrum
from avreward.raters.signals._gates import decibel, hard, low_level, soft, sounding
from avreward.raters.signals.rater import SignalsRater

RATER = SignalsRater()
RATE = 16_000


def struck(seed: int, seconds: float = 3.0, ends: float = 0.0):
    """Return decaying tones at random times over faint noise (1, samples), float64; none in so many s at the ends."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    floor = 10 ** (-3 + float(torch.rand((), generator=generator)))
    wave = floor * noise(len(t), seed=seed)
    for share in torch.rand(8, generator=generator).tolist():
        start = ends + share * (seconds - 2 * ends)
        late = (t - start).clamp(min=0)
        tone = torch.sin(2 * torch.pi * (300 + 2000 * share) * late) * torch.exp(-late / 0.1)
        wave = wave + 0.25 * (t >= start) * tone
    return wave[None]


def quality(wave, rate=RATE):
    return float(RATER([Clip(audio=wave.clamp(-1, 1), sample_rate=rate)])["audio_quality"])


def silence(wave, seconds):
    return wave.new_zeros(len(wave), round(seconds * RATE))


def faded(wave, seconds):
    ramp = torch.linspace(0, 1, round(seconds * RATE), dtype=wave.dtype)
    gain = torch.ones_like(wave[0])
    gain[: len(ramp)] *= ramp
    gain[-len(ramp) :] *= ramp.flip(0)
    return wave * gain


@settings(max_examples=12)
@given(seed=st.integers(0, 1000), seconds=st.floats(0.005, 0.06), where=st.sampled_from(["start", "end", "both"]))
def test_zeros_dither_and_padding_at_the_ends_move_audio_quality_by_less_than_a_point(seed, seconds, where):
    wave = struck(seed)
    before = quality(wave)
    for new in (silence(wave, seconds), dither(round(seconds * RATE), 1).to(wave)):
        none = new[:, :0]
        edited = padded(wave, none if where == "end" else new, none if where == "start" else new)
        assert quality(edited) == pytest.approx(before, abs=1), (before, where)


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), seconds=st.floats(0.005, 0.06))
def test_fades_move_audio_quality_by_less_than_a_point(seed, seconds):
    wave = struck(seed, ends=0.08)  # a fade over a sound's attack is heard
    assert quality(faded(wave, seconds)) == pytest.approx(quality(wave), abs=1)


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_a_late_start_gains_less_than_a_point_over_the_same_sound_cut_at_its_end(seed):
    cut = struck(seed)[:, : -RATE // 2]
    assert quality(padded(cut, silence(cut, 0.5), cut[:, :0])) < quality(cut) + 1


@pytest.mark.parametrize("seed", range(3))
def test_silent_ends_do_not_hide_noise(seed):
    clip = Clip(audio=struck(seed).float(), sample_rate=RATE)
    noisy = PROBES["noise, silent ends"].apply(clip, seed)
    assert not noisy.audio[:, : RATE // 50].any()
    assert not noisy.audio[:, -RATE // 50 :].any()
    assert quality(noisy.audio) < quality(clip.audio)


SCENE = scene(400_060, seconds=2.0).clip


@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit.track != "file"], ids=lambda edit: edit.name)
def test_edits_that_nobody_hears_or_sees_move_no_dimension_of_a_scene_by_two_points(edit):
    edited = edit.apply(SCENE, None)
    if edited is None:
        pytest.skip("the edit can't be made from this scene")
    before, after = RATER([SCENE]), RATER([edited])
    for dimension in RATER.dimensions:
        if not dimension.detail:
            moved = abs(float(after[dimension.name] - before[dimension.name]))
            assert moved < 2, dimension.name


def test_a_constant_and_opposite_channels_change_nothing():
    wave = struck(3)
    assert quality(wave * 0.5 + 0.1) == pytest.approx(quality(wave * 0.5), abs=0.05)
    opposite = torch.cat([wave, -wave])
    scores = RATER([Clip(audio=opposite, sample_rate=RATE), Clip(audio=wave, sample_rate=RATE)])["audio_quality"]
    assert float(scores[0]) == pytest.approx(float(scores[1]), abs=1.5)  # two channels are 3 dB louder (BS.1770)


@pytest.mark.parametrize("gate", [soft, hard])
def test_the_low_level_is_the_tenth_percentile_of_what_sounds(gate):
    level = torch.linspace(-60, 0, 601, dtype=torch.float64)[torch.randperm(601, generator=torch.Generator())]
    everything = torch.ones_like(level)
    assert float(low_level(level, everything, gate)) == pytest.approx(-54, abs=0.2)
    with_gap = torch.cat([level, level.new_full((100,), -100.0)])
    weight = sounding(with_gap, gate, depth=70.0)
    assert float(low_level(with_gap, weight, gate)) == pytest.approx(-54, abs=0.3)
    both = torch.stack([with_gap, with_gap + 5])
    assert (low_level(both, weight, gate).diff() - 5).abs().max() < 1e-9


def test_no_single_frame_decides_the_floor():
    level = -30 + noise(400, seed=1)
    one_lower = torch.cat([level, level.new_full((1,), -100.0)])
    both = [float(low_level(x, torch.ones_like(x), soft)) for x in (level, one_lower)]
    assert both[1] == pytest.approx(both[0], abs=0.1)


def test_the_low_level_of_a_band_is_the_same_in_the_order_of_its_power():
    window = sound(torch.cat([0.1 * noise(2 * RATE), noise(RATE) * 0, 0.01 * noise(RATE, seed=1)]), RATE)
    power, _ = window.bands()
    weight = torch.rand(power.shape[1], dtype=power.dtype, generator=torch.Generator().manual_seed(0))
    for level in (decibel(power), decibel(power + 1e-4)):
        found = low_level(level, weight, soft, window.quietest)
        torch.testing.assert_close(found, low_level(level, weight, soft))


def test_signal_to_noise_does_not_count_dead_gaps():
    steady = 0.05 * noise(3 * RATE)
    gap = steady.clone()
    gap[RATE : 2 * RATE] = 0
    assert float(spectrum.signal_to_noise(sound(gap), soft)) == pytest.approx(
        float(spectrum.signal_to_noise(sound(steady), soft)), abs=0.5
    )
