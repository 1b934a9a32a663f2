import pytest
import torch
from signal_inputs import motion, sound

from avreward.raters.signals import _av_sync as together
from avreward.raters.signals._av_sync import AvWindow
from avreward.raters.signals._gates import soft


@pytest.fixture
def jumps(strikes):
    """A block that jumps at each strike (100 frames of 25 a second)."""
    _, times = strikes
    at = torch.arange(100, dtype=torch.float64) / 25
    luma = torch.full((100, 48, 80), 0.3, dtype=torch.float64)
    place = sum((at >= t).long() for t in times)
    for k in range(100):
        near = min(abs(float(at[k]) - t) for t in times)
        shift = int(4 * place[k] + (3 if near < 0.04 else 0))
        luma[k, 16:32, 8 + shift : 24 + shift] = 0.9
    return motion(luma)


def agreement(both):
    measures = (together.loudness_motion, together.onset_motion, together.onset_contact)
    return sum(float(m(both, soft)) for m in measures)


@pytest.mark.parametrize("late", [-0.5, -0.25, 0.25, 0.5])
def test_in_sync_beats_every_shift_and_the_best_lag_is_the_shift(jumps, strikes, late):
    wave, _ = strikes
    in_sync = AvWindow(jumps, sound(wave))
    shifted = AvWindow(jumps, sound(wave.roll(round(late * 16_000), -1)))
    assert agreement(in_sync) > agreement(shifted) + 0.3
    assert float(together.best_lag(in_sync)) == pytest.approx(0, abs=0.06)
    assert float(together.best_lag(shifted)) == pytest.approx(late, abs=0.06)
    assert float(together.offset(shifted, soft)) > float(together.offset(in_sync, soft))


def test_the_start_of_the_sound_is_part_of_its_time(jumps, strikes):
    wave, _ = strikes
    late = AvWindow(jumps, sound(wave[:, 8000:], start=0.5))  # the same sound, cut half a second later
    assert late.span[0] == 0.5
    assert float(together.best_lag(late)) == pytest.approx(0, abs=0.06)


def test_without_motion_or_sound_there_is_no_agreement(jumps, strikes):
    still = motion(torch.full((100, 48, 80), 0.3, dtype=torch.float64))
    for both in (AvWindow(still, sound(strikes[0])), AvWindow(jumps, sound(torch.zeros(1, 64_000).double()))):
        assert abs(agreement(both)) < 0.05
