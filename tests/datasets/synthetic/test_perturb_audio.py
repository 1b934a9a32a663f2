import math

import pytest
import torch
from torch import Tensor

from avreward.datasets.synthetic import _perturb_audio as ps

RATE = 24000


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sparse_sound() -> Tensor:
    """Four decaying bursts of noise in two channels over two seconds, with a little noise between them."""
    times = torch.arange(2 * RATE) / RATE
    envelope = sum(torch.exp(-(times - t).clamp_min(0) / 0.1) * (times >= t) for t in (0.1, 0.6, 0.9, 1.5))
    return 0.15 * torch.randn(2, 2 * RATE, generator=dice(9)).clamp(-4, 4) * envelope + 1e-4


@pytest.mark.parametrize("snr", [30.0, 20.0, 10.0])
def test_noise_has_the_asked_ratio(snr: float) -> None:
    audio = sparse_sound()
    noisy = ps.add_noise(audio, RATE, snr, dice())
    scale = (noisy * audio).sum() / audio.square().sum()
    found = 10 * math.log10((scale * audio).square().sum() / (noisy - scale * audio).square().sum())
    assert found == pytest.approx(snr, abs=0.15)
    assert noisy.abs().max() <= 1


@pytest.mark.parametrize("share", [0.01, 0.05, 0.15])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clipping_hits_the_asked_share(share: float, seed: int) -> None:
    audio = sparse_sound()
    clipped = ps.clip_peaks(audio, RATE, share, dice(seed))
    active = ps.sounding(audio, RATE)
    at_ceiling = (clipped.abs() >= clipped.abs().max() * (1 - 1e-6))[:, active]
    assert float(at_ceiling.float().mean()) == pytest.approx(share, rel=0.02)
    assert clipped.abs().max() <= 1


@pytest.mark.parametrize("cutoff", [8000.0, 4000.0, 2000.0])
def test_low_pass_takes_the_top_and_nothing_else(cutoff: float) -> None:
    audio = 0.1 * torch.randn(1, 2 * RATE, generator=dice())
    low = ps.low_pass(audio, RATE, cutoff, dice())
    before, after = torch.fft.rfft(audio).abs().square(), torch.fft.rfft(low).abs().square()
    frequency = torch.fft.rfftfreq(2 * RATE, 1 / RATE)
    top, bottom = frequency > 1.1 * cutoff, frequency < 0.9 * cutoff
    assert after[:, top].sum() < 1e-5 * before[:, top].sum()  # what is left comes from the ends
    assert after[:, bottom].sum() == pytest.approx(float(before[:, bottom].sum()), rel=1e-3)
    middle = slice(RATE // 2, RATE)  # no delay: a slow wave stays where it is
    wave = torch.sin(2 * math.pi * 100 * torch.arange(2 * RATE) / RATE)[None]
    torch.testing.assert_close(ps.low_pass(wave, RATE, cutoff, dice())[:, middle], wave[:, middle], atol=1e-3, rtol=0)


def test_low_pass_above_the_band_does_nothing() -> None:
    audio = sparse_sound()
    assert torch.equal(ps.low_pass(audio, 16000, 8000.0, dice()), audio)


@pytest.mark.parametrize("share", [0.03, 0.08, 0.2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_drop_outs_lie_in_the_sound(share: float, seed: int) -> None:
    audio = sparse_sound()
    gappy = ps.drop_outs(audio, RATE, share, dice(seed))
    active = ps.sounding(audio, RATE)
    gone = (gappy == 0).all(0)
    assert float((gone & active).sum() / active.sum()) == pytest.approx(share, abs=max(0.025, 0.15 * share))
    edges = torch.diff(torch.nn.functional.pad(gone.int(), (1, 1)))
    lengths = ((edges == -1).nonzero() - (edges == 1).nonzero()) / RATE
    assert lengths.min() > 0.014  # at least 20 ms with its fades
    assert lengths.max() < 0.081
    kept = (gappy == audio).all(0)
    assert kept.float().mean() > 0.75


def test_shift_is_a_roll_either_way() -> None:
    audio = sparse_sound()
    ways = set()
    for seed in range(8):
        moved = ps.shift(audio, RATE, 0.25, dice(seed))
        ways |= {sign for sign in (-1, 1) if torch.equal(moved, audio.roll(sign * RATE // 4, -1))}
    assert ways == {-1, 1}


def test_backwards_twice_is_the_original() -> None:
    audio = sparse_sound()
    assert not torch.equal(ps.backwards(audio), audio)
    assert torch.equal(ps.backwards(ps.backwards(audio)), audio)


@pytest.mark.parametrize(
    ("samples", "channels", "rate"), [(RATE // 2, 1, RATE), (4 * 48000, 2, 48000), (40000, 2, 16000)]
)
def test_swap_fits_the_clip(samples: int, channels: int, rate: int) -> None:
    audio, other = sparse_sound(), 0.01 * torch.randn(channels, samples, generator=dice())
    new = ps.swap(audio, RATE, other, rate)
    assert new.shape == audio.shape
    assert float(new.square().mean()) == pytest.approx(float(audio.square().mean()), rel=0.01)


def test_types_and_silence_are_kept() -> None:
    for audio in (sparse_sound().double(), torch.zeros(1, RATE)):
        for result in (
            ps.add_noise(audio, RATE, 20.0, dice()),
            ps.clip_peaks(audio, RATE, 0.05, dice()),
            ps.low_pass(audio, RATE, 4000.0, dice()),
            ps.drop_outs(audio, RATE, 0.1, dice()),
            ps.swap(audio, RATE, audio, RATE),
        ):
            assert result.dtype == audio.dtype
            assert result.shape == audio.shape
            assert torch.isfinite(result).all()
