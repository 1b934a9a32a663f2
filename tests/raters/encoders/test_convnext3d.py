"""ConvNeXt3D against the original, and what holds for every input."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state, structured

from avreward.raters.encoders.convnext3d import ConvNext3d


@pytest.mark.golden("config.aesthetic")
@torch.no_grad()
def test_the_original(golden) -> None:
    sizes, tensors = golden.data["config"]["aesthetic"], golden.tensors()
    network = ConvNext3d(sizes["depths"], sizes["dims"]).eval()
    prefix = "aesthetic_backbone."
    state = golden_state(golden.data)
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    names = [name for name in golden.data["inputs"]["tensors"] if name.startswith("aes")]
    assert names
    for name in names:
        out = network(structured(**golden.data["inputs"]["tensors"][name]))
        found = {f"{name}.out": out, f"{name}.pooled": out.mean((2, 3, 4))}
        for key, value in found.items():
            if f"{key}.sample" in tensors:
                step = golden.data["samples"][f"{key}.sample"]["flatten_step"]
                key, value = f"{key}.sample", value.flatten()[::step]
            golden.near(value, tensors[key])


@pytest.fixture(scope="module")
def network() -> ConvNext3d:
    torch.manual_seed(0)
    network = ConvNext3d((2, 2), (8, 16)).double().eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if name.endswith("gamma"):
            weight.fill_(0.5)
    return network


def test_a_batch_changes_nothing(network) -> None:
    videos = structured(1, (3, 3, 6, 32, 40)).double()
    torch.testing.assert_close(network(videos), torch.cat([network(video[None]) for video in videos]))


def test_the_second_block_looks_into_time(network) -> None:
    video = structured(2, (1, 3, 8, 32, 32)).double()
    changed = video.clone()
    changed[:, :, :2] += 1
    moved = (network(video) - network(changed)).abs().amax((0, 1, 3, 4))
    assert moved[1] > 1e-6  # pairs of frames are merged first; the neighbours feel the change
    assert moved[3] < 1e-12


def test_gradients_agree_with_finite_differences(network, check_gradient) -> None:
    check_gradient(lambda video: network(video).mean((2, 3, 4)), structured(3, (1, 3, 4, 24, 28)))
