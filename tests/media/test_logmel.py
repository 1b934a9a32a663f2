"""The log-mel spectrogram against transformers' own extractor."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avreward.errors import ArgumentError, MediaError
from avreward.media.logmel import LogMel


def sweep(samples: int) -> Tensor:
    time = torch.arange(samples) / 16000
    hiss = 0.01 * torch.randn(samples, generator=torch.Generator().manual_seed(0))
    return 0.5 * torch.sin(2000 * (1 + time) * time) + hiss


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("audio", [sweep(50_001), sweep(500_000), torch.zeros(16000)], ids=["3 s", "31 s", "silence"])
def test_the_spectrogram_is_that_of_the_whisper_extractor(bins: int, audio: Tensor) -> None:
    pytest.importorskip("transformers")
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=bins)
    expected = extractor(audio.numpy(), sampling_rate=16000, return_tensors="pt").input_features[0]
    torch.testing.assert_close(LogMel(bins)(audio), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(LogMel(bins)(audio.double()).float(), expected, rtol=0, atol=1e-4)


def test_items_are_scaled_by_their_own_loudest_point() -> None:
    loud, soft = sweep(5000), 1e-3 * sweep(5000)
    both = LogMel(samples=8000)(torch.stack([loud, soft])[:, None])
    assert torch.equal(both[1, 0], LogMel(samples=8000)(soft))


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(201, 3000), lead=st.sampled_from([(), (2,), (1, 2)]))
def test_every_length(samples: int, lead: tuple[int, ...]) -> None:
    audio = torch.randn(*lead, samples)
    out = LogMel(bins=20, samples=None)(audio)
    assert out.shape == (*lead, 20, samples // 160)
    assert out.isfinite().all()
    padded = LogMel(bins=20, samples=3200)(audio)
    assert padded.shape == (*lead, 20, 20)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once_at_the_end(dtype) -> None:
    audio = sweep(4000).to(dtype)
    about = LogMel(samples=None)
    assert torch.equal(about(audio), about(audio.float()).to(dtype))


@pytest.mark.parametrize("samples", [None, 1500])
def test_gradient(samples, check_gradient) -> None:
    check_gradient(LogMel(bins=20, samples=samples), torch.stack([sweep(1111), 0.1 * sweep(1111)]), rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.25, 1e-9], ids=["silence", "constant", "all but silence"])
def test_gradient_is_finite_where_there_is_nothing_to_hear(level: float) -> None:
    audio = torch.full((2, 1000), level, dtype=torch.float64, requires_grad=True)
    LogMel(bins=20, samples=2000)(audio).sum().backward()
    assert audio.grad.isfinite().all()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LogMel(bins=0), "bins"),
        (lambda: LogMel(samples=100), "samples"),
        (lambda: LogMel(samples=None)(torch.zeros(200)), "200 samples"),
        (lambda: LogMel()(torch.zeros(800, dtype=torch.int16)), "audio: torch.int16"),
    ],
)
def test_arguments_out_of_range_are_named(make, name: str) -> None:
    with pytest.raises(ArgumentError if name.replace(", ", "").isidentifier() else MediaError, match=name):
        make()
