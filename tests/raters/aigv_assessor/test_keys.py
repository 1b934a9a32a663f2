"""Names of original checkpoints, adapters, sizes, and what a wrong checkpoint looks like."""

from __future__ import annotations

import re

import pytest
import torch
from accelerate import init_empty_weights
from assessor_folders import original_config, original_state
from golden_weights import golden_state
from tiny.assessor import MOTION

from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.aigv_assessor import AssessorNetwork
from avreward.raters.aigv_assessor._keys import (
    ASSESSOR,
    check_system,
    config_from_original,
    slowfast_sizes,
    slowfast_to_ours,
    to_ours,
)
from avreward.raters.checkpoints._lora import merge_lora
from avreward.raters.encoders.slowfast import SlowFast, SlowFastConfig

TOWERS = {"vision_model": "vit", "language_model": "llm"}
ONE = {"vision_model": 2.0, "language_model": 2.0}


def scales_of(case: dict) -> dict[str, float]:
    lora = case.get("lora")
    if lora is None:
        return ONE
    return {tower: lora[part]["alpha"] / lora[part]["r"] for tower, part in TOWERS.items()}


@pytest.mark.golden("lora.merged_state_dict")
def test_adapters_are_merged_as_the_original_merges_them(golden) -> None:
    scales = scales_of(golden.data)
    ranks = {"vision_model": golden.data["lora"]["vit"]["r"], "language_model": golden.data["lora"]["llm"]["r"]}

    def scale(name: str, rank: int) -> float:
        tower = name.partition(".")[0]
        assert rank == ranks[tower]
        return scales[tower]

    def bare(name: str) -> str:
        return name.replace(".base_model.model.", ".", 1).replace(".base_layer.", ".")

    merged = merge_lora(golden_state(golden.data), bare, scale)
    listed = {name: tuple(shape) for name, shape, _ in golden.data["lora"]["merged_state_dict"]}
    golden.same({name: tuple(tensor.shape) for name, tensor in merged.items()}, listed)
    stored = {n.removeprefix("merged."): t for n, t in golden.tensors().items() if n.startswith("merged.")}
    assert stored
    for name, tensor in stored.items():
        golden.near(merged[name], tensor)


@pytest.mark.golden("full_size.motion_mlp")
def test_all_names_of_the_full_size_have_their_place(golden) -> None:
    """Without weights: on the meta device, with the sizes of InternVL2-8B."""
    case, full = golden.data, golden.data["full_size"]
    listed = golden.file("full_size_keys.json")["state_dict"]
    inner = next(shape[0] for name, shape in listed if re.search(r"feed_forward\.w1\.(base_layer\.)?weight$", name))
    state = {name: torch.empty(shape, device="meta") for name, shape in listed}
    config = {
        "vision_config": {
            **case["config"]["vision"],
            "hidden_size": full["vit_hidden"],
            "intermediate_size": 4 * full["vit_hidden"],
            "num_hidden_layers": full["vit_layers"],
            "num_attention_heads": full["vit_hidden"] // 64,
            "patch_size": full["patch"],
        },
        "llm_config": {
            **case["config"]["llm"],
            "hidden_size": full["hidden"],
            "intermediate_size": inner,
            "num_hidden_layers": full["llm_layers"],
            "num_attention_heads": full["heads"],
            "num_key_value_heads": full["kv_heads"],
            "vocab_size": full["vocab"],
        },
    }
    sizes = config_from_original(config, {name: tuple(t.shape) for name, t in state.items()}, SlowFastConfig())
    ours = to_ours(state, sizes, ONE)
    with init_empty_weights():
        network = AssessorNetwork(sizes)
    wanted = {n: tuple(t.shape) for n, t in network.state_dict().items() if not n.startswith("motion.")}
    golden.same({name: tuple(tensor.shape) for name, tensor in ours.items()}, wanted)
    assert network.motion.widths == (2048, 256)


def test_slowfast_is_measured_from_its_weights() -> None:
    with torch.device("meta"):
        full = SlowFast(SlowFastConfig(classes=400)).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in full.items()}
    assert slowfast_sizes(shapes, "blocks.", "x") == SlowFastConfig()
    assert len(slowfast_to_ours(full)) == 660
    state = {name: tuple(t.shape) for name, t in original_state().items()}
    assert slowfast_sizes(state, "slowfast_model.feature_extraction.", "x") == MOTION
    with pytest.raises(AvrewardError, match=r"x: expected SlowFast .*, got a checkpoint of AGAV-Rater$"):
        slowfast_sizes({"lm_head_reg.weight": (3, 8)}, "blocks.", "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "phi3-chat"}, r"config.json: template: expected one of internlm2-chat, .*, got 'phi3-chat'"),
        ({"ps_version": "v1"}, r"config.json: ps_version: expected 'v2', got 'v1'"),
        ({"vision_config": None}, r"config.json: expected sizes under 'vision_config', got none"),
        ({"llm_config": {"hidden_size": 3}}, r"config.json: expected 'intermediate_size' under 'llm_config', got none"),
    ],
)
def test_a_configuration_of_another_kind(change: dict, message: str) -> None:
    shapes = {name: tuple(t.shape) for name, t in original_state().items()}
    with pytest.raises(AvrewardError, match=message):
        config_from_original({**original_config(), **change}, shapes, MOTION)


def test_a_language_model_that_is_not_supported() -> None:
    config = original_config()
    config["llm_config"] |= {"model_type": "phi3"}
    with pytest.raises(ArgumentError, match="llm_config: expected InternLM2, Llama or Qwen2, got 'phi3'"):
        config_from_original(config, {"language_model.model.layers.0.self_attn.qkv_proj.weight": (8, 8)}, MOTION)


@pytest.mark.parametrize(
    ("names", "looks"),
    [
        (["vision_model.x", "mlp1.0.weight", "language_model.x", "fast_mlp.0.weight"], "a relative of AIGV-Assessor"),
        (["vision_model.x", "mlp1.0.weight", "language_model.x"], "InternVL as OpenGVLab publishes it"),
        (["technical_backbone.x"], "a checkpoint of DOVER"),
        (["finetune_blip_proj.weight"], "a checkpoint of AIGVEval"),
        (["model.mm_projector_a.0.weight"], "a checkpoint of AGAV-Rater"),
        (["motion_mlp.0.weight"], "a part of it"),
        (["blocks.0.multipathway_blocks.0.conv.weight"], "SlowFast alone"),
        (["conv1.weight"], "another network, whose first entry is conv1.weight"),
        ([], "a file without entries"),
    ],
)
def test_what_a_wrong_checkpoint_looks_like(names: list[str], looks: str) -> None:
    with pytest.raises(AvrewardError, match=f"^folder: expected AIGV-Assessor with .*, got {looks}.*; do this$"):
        check_system(names, ASSESSOR, "folder", "do this")


def test_joint_projections_of_another_size() -> None:
    config, state = original_config(), original_state()
    sizes = config_from_original(config, {name: tuple(t.shape) for name, t in state.items()}, MOTION)
    name = "language_model.model.layers.0.attention.wqkv.weight"
    with pytest.raises(ArgumentError, match=r"checkpoint: expected 128 rows in .*wqkv, as config.json has it, got 96"):
        to_ours(state | {name: state[name][:96]}, sizes, ONE)
