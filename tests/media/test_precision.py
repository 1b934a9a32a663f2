"""The transforms give the same numbers whatever mode torch is in."""

from __future__ import annotations

import pytest
import torch

from avreward.media._resize import resize
from avreward.media.fbank import Fbank, beats_fbank
from avreward.media.logmel import LogMel
from avreward.media.resampling import remix, resample
from avreward.media.tone_mapping import tone_map

# sizes and rates that no other test uses: what they keep is made here
TRANSFORMS = {
    "fbank": Fbank(bins=19),
    "beats": beats_fbank,
    "logmel": LogMel(bins=19, samples=None),
    "resample": lambda audio: resample(audio, 12007, 12000),
    "resample without a table": lambda audio: resample(audio, 100_003, 12_001),
    "surround": lambda audio: remix(audio.reshape(6, -1), 1),
    "HDR": lambda audio: tone_map(audio.reshape(3, 30, 40), "hlg"),
    "HDR to BT.709": lambda audio: tone_map(audio.reshape(3, 30, 40), "pq", primaries="p3"),
    "resize": lambda audio: resize(audio.reshape(3, 30, 40), (17, 57), "bicubic"),
    "resize 8 bit": lambda audio: resize(audio.reshape(3, 30, 40), (18, 57), "bicubic", "straight_through"),
}
AUDIO = torch.rand(3600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_inference_keeps_serves_gradients_later(name: str) -> None:
    with torch.inference_mode():
        expected = TRANSFORMS[name](AUDIO)
    audio = AUDIO.clone().requires_grad_()
    out = TRANSFORMS[name](audio)
    assert torch.equal(out, expected)
    assert torch.autograd.grad(out.sum(), audio)[0].isfinite().all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_autocast_changes_nothing(name: str) -> None:
    audio = AUDIO.float()
    with torch.autocast("cpu", torch.bfloat16):
        out = TRANSFORMS[name](audio)
    assert out.dtype == torch.float32
    assert torch.equal(out, TRANSFORMS[name](audio))


@pytest.mark.parametrize("precision", ["medium", "high"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_precision_of_matrix_products_changes_nothing(name: str, precision: str) -> None:
    """A trainer sets it for its network; "medium" is bfloat16 on CPUs, one part in 256."""
    audio, before = AUDIO.float(), torch.get_float32_matmul_precision()
    expected = TRANSFORMS[name](audio)
    try:
        torch.set_float32_matmul_precision(precision)
        torch.testing.assert_close(TRANSFORMS[name](audio), expected, rtol=1e-4, atol=3e-5)
    finally:
        torch.set_float32_matmul_precision(before)
