"""SlowFast against the original, and what holds for every input."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state, golden_weight, structured

from avreward.raters.encoders.slowfast import SlowFast, SlowFastConfig, pooled_vector, slow_frames

TINY = SlowFastConfig(depths=(1, 2), width=16, classes=5)


@pytest.fixture(scope="module")
def network() -> SlowFast:
    torch.manual_seed(0)
    return SlowFast(TINY).double().eval().requires_grad_(False)


@pytest.mark.golden(case="slowfast_r50")
@torch.no_grad()
def test_the_original(golden) -> None:
    """Every block, both pooled features and the logits, at the sizes of the case."""
    case, tensors, state = golden.data, golden.tensors(), golden_state(golden.data)
    inputs = {name: given for name, given in case["inputs"]["tensors"].items() if isinstance(given, dict)}
    network = SlowFast(SlowFastConfig(classes=case["config"]["num_classes"])).eval()
    network.load_state_dict({name: tensor for name, tensor in state.items() if name.startswith("blocks.")})
    positions = golden_weight("position_embedding.weight", (2000, 256))
    for name in (name.removesuffix("_fast") for name in inputs if name.endswith("_fast")):
        video = structured(**inputs[f"{name}_fast"])
        own = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items()}
        if "feature" in own:
            golden.near(pooled_vector(*network(slow_frames(video), video)), own["feature"])
        elif "fast_pooled" in own:
            pooled = network.fast(video).mean((3, 4)).movedim(1, 2)
            golden.near(pooled, own["fast_pooled"])
            if "fast_pooled_plus_pos" in own:
                golden.near(pooled + positions[: pooled.shape[1]], own["fast_pooled_plus_pos"])
            logits = f"hub_{name.rsplit('_')[-1]}.logits"
            if logits in tensors:
                golden.near(network.logits(structured(**inputs[f"{name}_slow"]), video), tensors[logits])
        else:
            slow, fast = slow_frames(video), video
            for number, block in enumerate(network.features):
                slow, fast = block(slow, fast)
                golden.near(slow, own[f"block{number}.slow"])
                golden.near(fast, own[f"block{number}.fast"])


def test_the_fast_pathway_needs_no_slow_one(network) -> None:
    video = structured(1, (1, 3, 8, 40, 33)).double()
    torch.testing.assert_close(network.fast(video), network(slow_frames(video), video)[1])


def test_a_batch_changes_nothing(network) -> None:
    videos = structured(2, (3, 3, 8, 36, 44)).double()
    together = pooled_vector(*network(slow_frames(videos), videos))
    alone = torch.cat([pooled_vector(*network(slow_frames(v[None]), v[None])) for v in videos])
    torch.testing.assert_close(together, alone)


def test_slow_frames_span_the_video() -> None:
    video = torch.arange(8.0).reshape(1, 1, 8, 1, 1)
    assert slow_frames(video).flatten().tolist() == [0.0, 7.0]
    assert slow_frames(video[:, :, :3]).flatten().tolist() == [0.0]


@pytest.mark.parametrize("frames", [8, 16])
def test_pooling_is_that_of_windows_in_time_and_space(frames) -> None:
    slow, fast = (structured(4, (1, 3, count, 9, 8)).double() for count in (frames // 4, frames))
    expected = [
        torch.nn.functional.avg_pool3d(features.repeat_interleave(4, 2), (window, 7, 7), 1).mean((2, 3, 4))
        for features, window in ((slow, 8), (fast, 32))
    ]
    torch.testing.assert_close(pooled_vector(slow, fast), torch.cat(expected, 1))


def test_gradients_agree_with_finite_differences(network, check_gradient) -> None:
    video = structured(3, (1, 3, 4, 33, 35)).double()
    check_gradient(lambda v: pooled_vector(*network(slow_frames(v), v)).sum(), video)
