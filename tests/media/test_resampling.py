"""Sample rates, channels and joined clips."""

from __future__ import annotations

import math
from math import gcd, pi
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avreward import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.media import _waveform
from avreward.media._audio import windowed_sinc
from avreward.media._audio.windowed_sinc import RESAMPLERS, Resampler
from avreward.media.resampling import clip_bounds, joined_clips, remix, resample

RATES = [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000]


def tone(hertz: float, rate: int, samples: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.sin(2 * pi * hertz * torch.arange(samples, dtype=torch.float64) / rate).to(dtype)


# ---- resample


@settings(max_examples=60, deadline=None)
@given(old=st.sampled_from(RATES), new=st.sampled_from(RATES), samples=st.integers(0, 3000), channels=st.integers(1, 3))
def test_resampled_length_and_dtype(old: int, new: int, samples: int, channels: int) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        out = resample(torch.full((channels, samples), 0.25, dtype=dtype), old, new)
        assert out.shape == (channels, samples * new // old)
        assert out.dtype == dtype
        torch.testing.assert_close(out, torch.full_like(out, 0.25))  # a constant stays, to the edges


@pytest.mark.parametrize("old", RATES)
@pytest.mark.parametrize("new", RATES)
def test_a_tone_stays_in_place(old: int, new: int) -> None:
    hertz = 0.3 * min(old, new)
    out = resample(tone(hertz, old, old // 4 + 1), old, new)
    inside = slice(len(out) // 4, -len(out) // 4)  # away from the edges
    assert float((out - tone(hertz, new, len(out)))[inside].abs().max()) < 2e-3


@pytest.mark.parametrize(("old", "new"), [(48000, 16000), (44100, 16000), (44099, 16000)])
def test_what_the_new_rate_cannot_hold_is_removed(old: int, new: int) -> None:
    out = resample(tone(0.6 * new, old, old // 4), old, new)
    assert float(out[100:-100].abs().max()) < 1e-3


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (16000, 44100), (8000, 24000), (22050, 16000), (3, 2)])
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_rates_without_a_common_factor_get_the_same_filter(old: int, new: int, resampler: Resampler) -> None:
    audio = torch.randn(2, 5001, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    common = gcd(old, new)
    out = resample(audio, old, new, resampler)
    directly = windowed_sinc.directly(audio, resampler, old // common, new // common, out.shape[-1])
    # julius' table is float32
    torch.testing.assert_close(directly, out, rtol=0, atol=3e-4 if resampler == "julius" else 1e-12)


def test_long_kernels_are_not_built() -> None:
    audio = tone(440.0, 44099, 44099 * 3, torch.float32)
    out = resample(audio, 44099, 16000)
    assert out.shape == (48000,)
    assert float((out - tone(440.0, 16000, 48000, torch.float32))[100:-100].abs().max()) < 1e-3


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (16000, 48000), (16000, 16000), (997, 1009)])
@pytest.mark.parametrize("level", [1.0, 0.0], ids=["noise", "silence"])
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_gradient_of_resampling(
    old: int, new: int, level: float, resampler: Resampler, check_gradient, monkeypatch
) -> None:
    audio = torch.randn(2, 333, generator=torch.Generator().manual_seed(1)) * level
    check_gradient(lambda x: resample(x, old, new, resampler).pow(2), audio)
    monkeypatch.setattr(windowed_sinc, "_LARGEST_KERNEL", 0)
    monkeypatch.setattr(windowed_sinc, "_CHUNK", 1000)
    check_gradient(lambda x: resample(x, old, new, resampler).pow(2), audio)


def by_pyav(audio: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """What FFmpeg makes of a mono signal, float32 (samples,)."""
    resampler = av.AudioResampler("fltp", "mono", new)
    frame = av.AudioFrame.from_ndarray(audio[None].numpy(), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = old, 0
    pieces = [piece.to_ndarray()[0] for given in (frame, None) for piece in resampler.resample(given)]
    return torch.from_numpy(np.concatenate(pieces))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (48000, 16000), (44100, 16000), (16000, 48000), (22050, 16000), (8000, 96000), (96000, 8000),
        (44100, 48000), (48000, 44100), (11025, 16000), (32000, 44100), (44099, 16001),
    ],
)  # fmt: skip
def test_ffmpegs_filter_is_that_of_ffmpeg(old: int, new: int) -> None:
    audio = 0.1 * torch.randn(old // 4, generator=torch.Generator().manual_seed(2))
    wanted, found = by_pyav(audio, old, new), resample(audio, old, new, "ffmpeg")
    assert len(wanted) == len(found)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)  # its edges too
    assert float((resample(audio, old, new)[: len(wanted)] - wanted[: len(audio) * new // old]).abs().max()) > 1e-3


@pytest.mark.parametrize("samples", [1, 2, 7])
@pytest.mark.parametrize(("old", "new"), [(48000, 16000), (16000, 44100)])
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_a_few_samples_are_resampled_too(samples: int, old: int, new: int, resampler: Resampler) -> None:
    out = resample(torch.ones(1, samples), old, new, resampler)
    exact = samples * new / old
    assert out.shape == (1, math.floor(exact) if resampler == "julius" else math.ceil(exact))
    assert out.isfinite().all()
    if resampler != "librosa":  # which sees zeros beyond the ends
        torch.testing.assert_close(out, torch.ones_like(out), rtol=0, atol=1e-5)


def test_soxrs_filter_passes_and_stops_where_soxr_does() -> None:
    # the amplitude that soxr 1.1 leaves at shares of the Nyquist rate
    impulse = torch.zeros(48000, dtype=torch.float64)
    impulse[24000] = 3.0
    response = torch.fft.rfft(resample(impulse, 48000, 16000, "librosa")).abs()
    for share, left in ((0.5, 1.0), (0.92345, 0.999), (0.9305, 0.99), (0.95688, 0.5), (0.97199, 0.1), (0.99032, 0.001)):
        assert float(response[round(share * 8000)]) == pytest.approx(left, abs=5e-3 * left + 2e-4)


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_pieces_of_a_file_are_resampled_as_the_whole(tmp_path: Path, resampler: Resampler, monkeypatch) -> None:
    monkeypatch.setattr(_waveform, "_BLOCK", 2**9)
    monkeypatch.setattr(_waveform, "_CONTEXT", 2**9)
    audio = 0.1 * torch.randn(1, 30011, generator=torch.Generator().manual_seed(3))
    path = tmp_path / "noise.wav"
    Clip(audio=audio, sample_rate=44100).save(path)
    clip = Clip.open(path)
    wanted = resample(clip.sound(), 44100, 16000, resampler)
    torch.testing.assert_close(clip.sound(16000, resampler=resampler), wanted, rtol=0, atol=1e-6)
    (part,) = clip.spans([(0.1, 0.3)], 16000, resampler=resampler)
    torch.testing.assert_close(part, wanted[:, 1600:4800], rtol=0, atol=1e-6)


def test_an_unknown_resampler_is_named() -> None:
    with pytest.raises(ArgumentError, match="resampler: expected one of 'julius', 'ffmpeg', 'librosa', got 'sox'"):
        resample(torch.zeros(1, 10), 3, 2, "sox")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="resampler: expected one of"):
        Clip(audio=torch.zeros(1, 10), sample_rate=3).sound(resampler="sox")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [(0, 16000, "old_rate"), (16000, -1, "new_rate"), (1.5, 2, "old_rate"), (1, float("nan"), "new_rate")],
)
def test_rates_out_of_range_are_named(old, new, name) -> None:
    with pytest.raises(ArgumentError, match=f"{name}: expected a positive integer"):
        resample(torch.zeros(1, 10), old, new)


# ---- remix


def test_mono_and_stereo() -> None:
    audio = torch.randn(2, 7, requires_grad=True)
    assert torch.equal(remix(audio, 2), audio)
    assert torch.equal(remix(audio, 1), audio.mean(0, keepdim=True))
    assert torch.equal(remix(audio[:1], 2), audio[:1].expand(2, 7))
    assert remix(torch.zeros(4, 1, 7), 2).shape == (4, 2, 7)
    assert torch.equal(torch.autograd.grad(remix(audio, 1).sum(), audio)[0], torch.full((2, 7), 0.5))


def test_surround_after_bs775() -> None:
    half = 0.5**0.5
    five_one = torch.eye(6)  # L R C LFE Ls Rs, one sample each
    expected = torch.tensor([[1, 0, half, 0, half, 0], [0, 1, half, 0, 0, half]])
    torch.testing.assert_close(remix(five_one, 2), expected)
    torch.testing.assert_close(remix(five_one, 1), expected.mean(0, keepdim=True))
    torch.testing.assert_close(remix(torch.eye(5), 2), expected[:, [0, 1, 2, 4, 5]])
    torch.testing.assert_close(remix(torch.eye(8), 2), torch.cat([expected, expected[:, 4:]], dim=1))


@pytest.mark.parametrize(("have", "want"), [(3, 2), (4, 1), (7, 2), (2, 6), (1, 3)])
def test_layouts_without_an_order_are_refused(have: int, want: int) -> None:
    with pytest.raises(MediaError, match=f"no rule to mix {have} channels to {want}"):
        remix(torch.zeros(have, 5), want)


# ---- joined clips


@pytest.mark.golden("clip_table")
def test_clip_bounds_of_agav_rater(golden) -> None:
    about = golden.data["config"]
    for row in golden.data["clip_table"]:
        for name, reach_end in (("clips_v0_1_5", False), ("clips_main", True)):
            bounds = clip_bounds(row["samples"], about["sample_rate"], about["clips"], about["clip_seconds"], reach_end)
            golden.same([list(bound) for bound in bounds], row[name])


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(0, 2000), count=st.integers(1, 9), reach_end=st.booleans())
def test_joined_clips_are_pieces_of_the_sound(samples: int, count: int, reach_end: bool) -> None:
    audio = torch.arange(1.0, samples + 1).expand(2, -1)
    out = joined_clips(audio, 100, count, seconds=2.0, total=15.0, reach_end=reach_end)
    assert out.shape == (2, 1500)
    bounds = clip_bounds(samples, 100, count, 2.0, reach_end)
    assert all(0 <= start <= end <= samples and end - start == min(200, samples) for start, end in bounds)
    if reach_end and count > 1:
        assert samples - bounds[-1][1] <= 1  # one sample may be lost to the float that the original divides
    expected = torch.cat([audio[:, start:end] for start, end in bounds], dim=1)[:, :1500]
    assert torch.equal(out[:, : expected.shape[1]], expected)
    assert not out[:, expected.shape[1] :].any()


def test_gradient_of_joined_clips(check_gradient) -> None:
    check_gradient(lambda x: joined_clips(x, 10, 3, 2.0, 7.0).pow(3), torch.randn(2, 31))


def test_opposite_channels_are_not_silence() -> None:
    wave = torch.sin(torch.arange(4000, dtype=torch.float64) / 20)
    opposite = torch.stack([wave, -wave]).requires_grad_()
    mono = remix(opposite, 1)
    assert torch.allclose(mono[0], wave)
    (gradient,) = torch.autograd.grad(mono.square().sum(), opposite)
    assert torch.allclose(gradient, torch.stack([wave, -wave]))
    nearly = torch.stack([wave, -wave + 0.02 * wave.roll(7)])  # 40 dB below
    assert float(remix(nearly, 1).square().mean()) > 0.45
    unlike = torch.stack([wave, -0.5 * wave])  # 8 dB below: heard in mono, too
    assert torch.equal(remix(unlike, 1), unlike.mean(0, keepdim=True))
    assert torch.equal(remix(torch.zeros(2, 9), 1), torch.zeros(1, 9))
    batch = torch.stack([opposite.detach(), unlike])  # each is judged alone
    assert torch.allclose(remix(batch, 1), torch.stack([remix(one, 1) for one in batch]))
