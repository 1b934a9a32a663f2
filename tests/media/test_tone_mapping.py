"""HDR to SDR: known levels of the standards, order, hue, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.media import tone_map
from avreward.media.tone_mapping import Transfer

# PQ signals of light in cd/m² (SMPTE ST 2084)
PQ = {0.1: 0.062337, 10.0: 0.299699, 100.0: 0.508078, 203.0: 0.580689, 1000.0: 0.751827, 10_000.0: 1.0}


def grey(*levels: float) -> Tensor:
    """(levels, 3, 1, 1), float64."""
    return torch.tensor(levels, dtype=torch.float64)[:, None, None, None].expand(-1, 3, 1, 1)


def test_light_below_the_knee_is_shown_as_it_is() -> None:
    # up to 95 cd/m² the curve of BT.2390 is the identity: a display of gamma 2.4 shows them at (L/203)^(1/2.4)
    shown = tone_map(grey(PQ[0.1], PQ[10.0]), "pq")
    assert shown[:, 0, 0, 0].tolist() == pytest.approx([(0.1 / 203) ** (1 / 2.4), (10 / 203) ** (1 / 2.4)], rel=2e-3)


def test_white_is_the_peak_and_black_is_black() -> None:
    shown = tone_map(grey(0, PQ[203.0], PQ[1000.0], 1), "pq")[:, 0, 0, 0]
    assert shown[0] < 1e-9
    assert shown[2:].tolist() == pytest.approx([1, 1], abs=1e-4)
    assert 0.85 < shown[1] < 0.95  # room for highlights
    assert tone_map(grey(0, 1), "hlg")[:, 0, 0, 0].tolist() == pytest.approx([0, 1], abs=1e-4)


def test_white_where_nothing_is_brighter() -> None:
    shown = tone_map(grey(PQ[100.0], PQ[203.0]), "pq", peak=203)[:, 0, 0, 0]
    assert shown.tolist() == pytest.approx([(100 / 203) ** (1 / 2.4), 1], rel=1e-3)


def test_both_curves_agree_on_diffuse_white() -> None:  # BT.2408: 75 % in HLG, 58 % in PQ
    pq, hlg = tone_map(grey(0.5807), "pq"), tone_map(grey(0.75), "hlg")
    assert float((pq - hlg).abs().max()) < 2e-3


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["pq", "hlg"]), st.floats(0, 0.99), st.floats(300, 10_000))
def test_brighter_stays_brighter_and_grey_stays_grey(transfer: Transfer, level: float, peak: float) -> None:
    shown = tone_map(grey(level, level + 0.01), transfer, peak)
    assert bool((shown[1] >= shown[0] - 1e-9).all())
    assert float((shown.amax(1) - shown.amin(1)).max()) < 2e-3
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1


def test_hues_stay_where_bt709_has_them() -> None:
    pixel = torch.tensor([0.70, 0.66, 0.64], dtype=torch.float64)[:, None, None]
    shown = tone_map(pixel, "pq", primaries="bt709").flatten() ** 2.4
    light = torch.tensor([608.0, 426.0, 354.0], dtype=torch.float64)  # of the signals, in cd/m²
    assert (shown / shown[0]).tolist() == pytest.approx((light / light[0]).tolist(), rel=0.02)


def test_a_colour_outside_bt709_is_clipped() -> None:
    green = torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64)[:, None, None]
    assert tone_map(green, "pq").flatten().tolist()[::2] == [0, 0]
    assert tone_map(green, "pq", primaries="bt709").flatten()[1] < tone_map(green, "pq").flatten()[1]


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_gradients(transfer: Transfer) -> None:
    torch.manual_seed(0)
    frames = (torch.rand(2, 3, 2, 2, dtype=torch.float64) * 0.6 + 0.05).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tone_map(x, transfer), frames)
    edges = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).repeat(3, 1)[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(tone_map(edges, transfer).sum(), edges)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient[..., 1] > 0).all())


def test_types_and_arguments() -> None:
    frames = torch.rand(2, 3, 4, 5).bfloat16()
    assert tone_map(frames, "pq").dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tone_map(frames.float(), "hlg"), tone_map(frames.float(), "hlg"))
    for given_, name in (({"transfer": "sdr"}, "transfer"), ({"transfer": "pq", "peak": 0}, "peak"),
                         ({"transfer": "pq", "primaries": "x"}, "primaries")):  # fmt: skip
        with pytest.raises(ArgumentError, match=f"^{name}: expected"):
            tone_map(frames, **given_)
