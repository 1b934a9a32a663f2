"""SlowFast against the original, and what holds for every input."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state, structured, worst

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
    case, tensors = golden.data, golden.tensors()
    limit = case["tolerances"]["max_abs_over_max_abs"]
    inputs = {name: given for name, given in case["inputs"]["tensors"].items() if isinstance(given, dict)}
    network = SlowFast(SlowFastConfig(classes=case["config"]["num_classes"])).eval()
    network.load_state_dict({k: v for k, v in golden_state(case).items() if k.startswith("blocks.")})
    for name, given in inputs.items():
        if not name.endswith("_fast"):
            continue
        case_name, video = name.removesuffix("_fast"), structured(**given)
        if case_name == "blocks":
            slow, fast = slow_frames(video), video
            for number, block in enumerate(network.features):
                slow, fast = block(slow, fast)
                assert worst(slow, tensors[f"block{number}.slow"]) < limit
                assert worst(fast, tensors[f"block{number}.fast"]) < limit
        elif f"{case_name}.feature" in tensors:
            vector = pooled_vector(*network(slow_frames(video), video))
            assert worst(vector, tensors[f"{case_name}.feature"]) < limit
        else:
            pooled = network.fast(video).mean((3, 4)).movedim(1, 2)
            assert worst(pooled, tensors[f"{case_name}.fast_pooled"]) < limit
            hub = next(key for key in tensors if key.endswith(f"_{case_name.rsplit('_')[-1]}.logits"))
            assert worst(network.logits(structured(**inputs[f"{case_name}_slow"]), video), tensors[hub]) < limit


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


def test_gradients_agree_with_finite_differences(network, check_gradient) -> None:
    video = structured(3, (1, 3, 4, 33, 35)).double()
    check_gradient(lambda v: pooled_vector(*network(slow_frames(v), v)).sum(), video)
