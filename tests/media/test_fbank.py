"""The filter bank against Kaldi's own code and the reference case of AGAV-Rater."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden_case import Golden
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avreward.errors import ArgumentError, MediaError
from avreward.media.fbank import Fbank, beats_fbank
from avreward.media.resampling import joined_clips
from avreward.media.rounding import to_bfloat16


def music(samples: int, rate: int = 16000, seed: int = 0) -> Tensor:
    """Two tones that swell, over noise: float32 (samples,) within [−1, 1]."""
    time = torch.arange(samples) / rate
    hiss = 0.05 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    return (0.4 * torch.sin(2760 * time) * time.cos() + 0.2 * torch.sin(19000 * time) + hiss).clamp(-1, 1)


# ---- the originals


def close(
    found: Tensor, expected: Tensor, mean: float, share: float, most: float, every: float, golden: Golden | None = None
) -> None:
    apart = (found.float() - expected).abs()
    at_most = (golden or Golden(Path(), {})).at_most
    at_most(apart.mean(), mean, "mean difference")
    at_most((apart > most).double().mean(), 1 - share, f"share of entries more than {most:g} away")
    at_most(apart.max(), every, f"{every:g}")


@pytest.mark.golden("items.clip_samples")
def test_agav_rater(golden) -> None:
    about, tensors = golden.data["config"], golden.tensors()
    fbank = Fbank(
        about["sample_rate"],
        about["num_mel_bins"],
        about["frame_length_ms"] / 1000,
        about["frame_shift_ms"] / 1000,
        about["low_freq"],
        window=about["window"],
        preemphasis=about["preemphasis"],
        remove_offset=about["remove_dc_offset"],
        scale=about["waveform_scale"],
    )
    mean, percent, most, every = golden.numbers("fbank_f32")
    limits = mean, percent / 100, most, every
    for item in golden.data["items"]:
        part = {
            name.removeprefix(item["name"] + "."): tensor for name, tensor in tensors.items() if item["name"] in name
        }
        audio = part["pcm_int16"].float() / 32768
        whole = joined_clips(audio, about["sample_rate"], about["clips"], about["clip_seconds"], about["total_seconds"])
        assert len(whole) == about["total_samples"]
        assert torch.equal(whole[item["assembled_valid_samples"] :].count_nonzero(), torch.tensor(0))
        if "assembled_prefix_int16" in part:
            prefix = part["assembled_prefix_int16"]
            assert torch.equal(whole[: len(prefix)] * 32768, prefix.float())

        out, rows = fbank(whole), item["rows_stored_until"]
        assert out.shape == (about["frames_out"], about["num_mel_bins"])
        close(out[: rows : item["row_stride"]], part["fbank_f32"], *limits, golden)
        assert float(out.double().sum()) == pytest.approx(item["fbank_sum"], abs=mean * out.numel())
        silence = torch.full_like(out[item["first_all_silent_row"] :], item["silent_value"])
        torch.testing.assert_close(out[item["first_all_silent_row"] :], silence, rtol=0, atol=1e-5)

        step = 2**-7  # of a bfloat16, relative
        if "fbank_bf16" in part:
            expected = part["fbank_bf16"].float()
            assert ((to_bfloat16(out)[:rows] - expected).abs() <= step * expected.abs()).all()
        expected = part["normalised_f32"] * about["norm_std_divisor"] + about["norm_mean"]
        beats = beats_fbank(whole)[: rows : item["normalised_row_stride"]]
        found = beats * about["norm_std_divisor"] + about["norm_mean"]
        assert ((found - expected).abs() <= step * expected.abs() + 1e-4).all()

        direct = fbank(audio)
        assert len(direct) == item["direct_frames"]
        close(direct[:: item["direct_row_stride"]], part["direct_fbank_f32"], *limits, golden)


@pytest.mark.parametrize(
    ("about", "window"),
    [
        (Fbank(), "povey"),
        (Fbank(bins=80, window="hann"), "hanning"),
        (Fbank(rate=22050, bins=40, low=60.0, high=7800.0, window="hamming"), "hamming"),
        (Fbank(rate=8000, bins=23, length=0.032, shift=0.008, preemphasis=0.0, remove_offset=False), "povey"),
    ],
    ids=["beats", "80", "22050 Hz", "8000 Hz"],
)
def test_the_filter_bank_is_kaldis(about: Fbank, window: str) -> None:
    kaldi = pytest.importorskip("kaldi_native_fbank")
    options = kaldi.FbankOptions()
    options.frame_opts.samp_freq = about.rate
    options.frame_opts.frame_length_ms, options.frame_opts.frame_shift_ms = about.length * 1000, about.shift * 1000
    options.frame_opts.preemph_coeff, options.frame_opts.remove_dc_offset = about.preemphasis, about.remove_offset
    options.frame_opts.window_type, options.frame_opts.dither = window, 0
    options.mel_opts.num_bins, options.mel_opts.low_freq = about.bins, about.low
    options.mel_opts.high_freq = about.high or 0
    for samples in (about.rate, about.rate // 2 + 77, int(about.rate * about.length)):
        audio = music(samples, about.rate, seed=samples)
        online = kaldi.OnlineFbank(options)
        online.accept_waveform(about.rate, (audio * 32768).tolist())
        online.input_finished()
        expected = torch.stack([torch.tensor(online.get_frame(i)) for i in range(online.num_frames_ready)])
        for dtype in (torch.float32, torch.float64):
            # Kaldi's triangles and transform are float32, which shows where a bin is weak
            close(about(audio.to(dtype)), expected, mean=2e-4, share=0.999, most=1e-2, every=5e-2)


# ---- properties


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(0, 3000), lead=st.sampled_from([(), (2,), (2, 1, 3)]))
def test_every_length(samples: int, lead: tuple[int, ...]) -> None:
    audio = 0.1 * torch.randn(*lead, samples)
    out = Fbank(bins=24)(audio)
    assert out.shape == (*lead, max(0, 1 + (samples - 400) // 160), 24)
    assert out.isfinite().all()
    if lead == (2,):
        torch.testing.assert_close(out[1], Fbank(bins=24)(audio[1]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once_at_the_end(dtype) -> None:
    audio = music(4000).to(dtype)
    assert torch.equal(Fbank()(audio), Fbank()(audio.float()).to(dtype))


@pytest.mark.parametrize("rounding", ["none", "straight_through"])
def test_gradient(rounding, check_gradient) -> None:
    check_gradient(Fbank(bins=20), music(1234), rtol=1e-4)
    if rounding == "none":
        check_gradient(lambda x: beats_fbank(x, rounding), music(1234), rtol=1e-4)
    plain, through = music(1234).requires_grad_(), music(1234).requires_grad_()
    beats_fbank(plain, "none").sum().backward()
    beats_fbank(through, rounding).sum().backward()
    assert torch.equal(plain.grad, through.grad)


@pytest.mark.parametrize("level", [0.0, 0.25, 1e-9], ids=["silence", "constant", "all but silence"])
def test_gradient_is_finite_where_there_is_nothing_to_hear(level: float, check_gradient) -> None:
    check_gradient(Fbank(bins=20), torch.full((1000,), level, dtype=torch.float64), step=1e-9)
    half = torch.cat([torch.zeros(1000), music(1000)]).requires_grad_()
    beats_fbank(half).sum().backward()
    assert half.grad.isfinite().all()
    assert half.grad.any()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Fbank(rate=0), "rate"),
        (lambda: Fbank(bins=0), "bins"),
        (lambda: Fbank(window="kaiser"), "window"),
        (lambda: Fbank(shift=0.0), "shift"),
        (lambda: Fbank(high=9000.0), "low, high"),
        (lambda: Fbank(low=500.0, high=400.0), "low, high"),
        (lambda: Fbank()(torch.zeros(800, dtype=torch.int16)), "audio: torch.int16"),
    ],
)
def test_arguments_out_of_range_are_named(make, name: str) -> None:
    with pytest.raises(ArgumentError if name.replace(", ", "").isidentifier() else MediaError, match=name):
        make()
