"""DOVER's network and fusion against the original."""

from __future__ import annotations

from math import prod

import pytest
import torch
from golden_sizes import dover_sizes
from golden_weights import golden_state, structured

from avreward.raters.dover._network import DoverConfig, DoverNetwork, fused
from avreward.raters.encoders.swin3d import Swin3dConfig

VIEWS = ("technical", "aesthetic")
SMALL = 200_000  # values of an input that runs fast; the backbones' own tests read the larger ones
TINY = DoverConfig(
    Swin3dConfig(width=8, depths=(1, 2), heads=(1, 2), window=(2, 3, 3), gated=(True, False)), (1, 2), (8, 16), 4
)


@pytest.mark.golden("config.technical")
@torch.no_grad()
def test_the_original(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    network = DoverNetwork(dover_sizes(case["config"])).eval()
    absent, unexpected = network.load_state_dict(golden_state(case), strict=False)
    assert not unexpected
    assert all(name.endswith("relative_position_index") for name in absent)
    inputs, compared = case["inputs"]["tensors"], 0
    for name, given in inputs.items():
        view = next((view for view in VIEWS if name.startswith(view[:3])), None)
        if view is None or f"{name}.score" not in tensors or prod(given["shape"]) > SMALL:
            continue
        backbone, head = getattr(network, f"{view}_backbone"), getattr(network, f"{view}_head")
        scores = head(backbone(structured(**given)))
        golden.near(scores, tensors[f"{name}.score_map"])
        golden.near(scores.mean((1, 2, 3, 4)), tensors[f"{name}.score"])
        compared += 1
    for name in (key.removesuffix(".raw") for key in tensors if key.endswith(".raw")):
        raw = [getattr(network, view)(structured(**inputs[f"{name}_{view}"])) for view in VIEWS]
        golden.near(torch.stack(raw), tensors[f"{name}.raw"].flatten())
        compared += 1
    assert compared


@pytest.mark.golden("fusion.rows")
def test_the_original_fusion(golden) -> None:
    for row in golden.data["fusion"]["rows"]:
        raw = [torch.tensor(row[f"{view}_raw"], dtype=torch.float64) for view in ("technical", "aesthetic")]
        expected = [row[name] for name in ("technical", "aesthetic", "overall")]
        golden.close(fused(*raw), expected, atol=1e-9)


def test_sizes_survive_json() -> None:
    import json

    assert DoverConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    torch.manual_seed(0)
    network = DoverNetwork(TINY).double().eval().requires_grad_(False)
    check_gradient(lambda v: fused(network.technical(v), network.aesthetic(v)), structured(1, (1, 3, 4, 24, 28)))
