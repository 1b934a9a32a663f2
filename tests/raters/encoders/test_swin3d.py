"""Swin3D against the originals, with and without gates, and what holds for every input."""

from __future__ import annotations

import pytest
import torch
from golden_sizes import swin_sizes
from golden_weights import golden_state, structured
from torch import Tensor

from avreward.raters.encoders.swin3d import Swin3d, Swin3dConfig

TINY = Swin3dConfig(width=8, depths=(2, 2), heads=(1, 2), window=(2, 3, 3), gated=(True, False))


def swin(config: Swin3dConfig, state: dict[str, Tensor], prefix: str = "") -> Swin3d:
    network = Swin3d(config).eval()
    own = {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}
    absent, unexpected = network.load_state_dict(own, strict=False)
    assert not unexpected
    assert all(name.endswith("relative_position_index") for name in absent)  # the network's own
    return network


def check(network: Swin3d, golden, name: str) -> None:
    """Compare every stage that the case stores, whole or sampled."""
    tensors, seen = golden.tensors(), {}
    given = golden.data["inputs"]["tensors"][name]
    hooks = [
        layer.register_forward_hook(lambda _, __, out, i=i: seen.update({f"layer{i}": out.movedim(-1, 1)}))
        for i, layer in enumerate(network.layers)
    ]
    hooks.append(
        network.patch_embed.register_forward_hook(lambda _, __, out: seen.update(patch_embed=out.movedim(-1, 1)))
    )
    with torch.no_grad():
        seen["out"] = network(structured(**given))
    seen["pooled"] = seen["out"].mean((2, 3, 4))
    for hook in hooks:
        hook.remove()
    compared = 0
    for part, found in seen.items():
        for key, expected in tensors.items():
            if key == f"{name}.{part}":
                golden.near(found, expected)
                compared += 1
            elif key == f"{name}.{part}.sample":
                step = golden.data["samples"][key]["flatten_step"]
                golden.near(found.flatten()[::step], expected)
                compared += 1
    assert compared


@pytest.mark.golden(case="swin3d_t")
def test_the_original(golden) -> None:
    network = swin(swin_sizes(golden.data["config"]), golden_state(golden.data))
    for name in golden.data["inputs"]["tensors"]:
        check(network, golden, name)


@pytest.mark.golden("config.technical")
def test_the_original_with_gates(golden) -> None:
    network = swin(swin_sizes(golden.data["config"]["technical"]), golden_state(golden.data), "technical_backbone.")
    for name in golden.data["inputs"]["tensors"]:
        if name.startswith("tech"):
            check(network, golden, name)


@pytest.fixture(scope="module")
def network() -> Swin3d:
    torch.manual_seed(0)
    network = Swin3d(TINY).double().eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if name.endswith("table"):
            weight.normal_()
    return network


@pytest.mark.parametrize("shape", [(1, 3, 1, 4, 4), (1, 3, 5, 30, 21), (1, 3, 8, 33, 64)])
def test_any_size(network, shape) -> None:
    out = network(structured(1, shape).double())
    assert out.shape[2] == (shape[2] + 1) // 2
    assert out.isfinite().all()


def test_a_batch_changes_nothing(network) -> None:
    videos = structured(2, (3, 3, 6, 29, 40)).double()
    torch.testing.assert_close(network(videos), torch.cat([network(video[None]) for video in videos]))


def test_the_gate_matters(network) -> None:
    """With equal tables the gate has no effect, with others it has."""
    video = structured(3, (1, 3, 4, 28, 28)).double()
    before = network(video)
    table = network.layers[0].blocks[0].attn.fragment_position_bias_table
    kept = table.clone()
    table.add_(1.5 * torch.randn(table.shape, dtype=table.dtype, generator=torch.Generator().manual_seed(0)))
    assert (network(video) - before).abs().max() > 1e-4
    table.copy_(kept)


@pytest.mark.parametrize("shape", [(1, 3, 3, 25, 30)])
def test_gradients_agree_with_finite_differences(network, check_gradient, shape) -> None:
    check_gradient(lambda video: network(video).mean((2, 3, 4)).square().sum(), structured(4, shape))
