"""DOVER's network and fusion against the original."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state, structured, worst

from avreward.raters.dover._network import DoverConfig, DoverNetwork, fused
from avreward.raters.encoders.swin3d import Swin3dConfig

TINY = DoverConfig(
    Swin3dConfig(width=8, depths=(1, 2), heads=(1, 2), window=(2, 3, 3), gated=(True, False)), (1, 2), (8, 16), 4
)


@pytest.mark.golden("config.technical")
@torch.no_grad()
def test_the_original(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    network = DoverNetwork(DoverConfig()).eval()
    absent, unexpected = network.load_state_dict(golden_state(case), strict=False)
    assert not unexpected
    assert all(name.endswith("relative_position_index") for name in absent)
    inputs, limit = case["inputs"]["tensors"], case["tolerances"]["max_abs_over_max_abs"]
    for name, view in (("tech_small", "technical"), ("aes_small", "aesthetic")):
        if name not in inputs:
            continue
        backbone, head = getattr(network, f"{view}_backbone"), getattr(network, f"{view}_head")
        scores = head(backbone(structured(**inputs[name])))
        assert worst(scores, tensors[f"{name}.score_map"]) < limit
        assert worst(scores.mean((1, 2, 3, 4)), tensors[f"{name}.score"]) < limit
    raw = [getattr(network, view)(structured(**inputs[f"full_{view}"])) for view in ("technical", "aesthetic")]
    assert worst(torch.stack(raw), tensors["full.raw"].flatten()) < limit


@pytest.mark.golden("fusion.rows")
def test_the_original_fusion(golden) -> None:
    for row in golden.data["fusion"]["rows"]:
        raw = [torch.tensor(row[f"{view}_raw"], dtype=torch.float64) for view in ("technical", "aesthetic")]
        expected = [row[name] for name in ("technical", "aesthetic", "overall")]
        assert fused(*raw).tolist() == pytest.approx(expected, abs=1e-9)


def test_sizes_survive_json() -> None:
    import json

    assert DoverConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    torch.manual_seed(0)
    network = DoverNetwork(TINY).double().eval().requires_grad_(False)
    check_gradient(lambda v: fused(network.technical(v), network.aesthetic(v)), structured(1, (1, 3, 4, 24, 28)))
