"""Names and sizes of published checkpoints, at full size without weights."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from golden_weights import golden_state

from avreward.errors import AvrewardError
from avreward.raters.agav._keys import config_from_official, official_to_ours, ours_to_official
from avreward.raters.agav._network import AgavConfig, AgavNetwork
from avreward.raters.encoders.beats import BeatsConfig

# What config.json says of the published model; the rest it leaves to the checkpoint.
FULL = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "num_frames": 16,
    "mm_projector_type": "stc_connector_v35",
    "mm_projector_a_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "rope_scaling": None,
}


def full_size(golden) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in golden.file("official_state_dict.json")["keys"]}


def tiny(golden) -> tuple[dict, dict[str, tuple[int, ...]]]:
    about = golden.data["config"]
    file = {
        **about["language"],
        **about["multimodal"],
        "vision_config": about["vision"],
        "audio_config": about["audio"],
    }
    return file, {name: tuple(shape) for name, shape, _ in golden.data["state_dict"]}


@pytest.mark.golden(case="agav_rater")
def test_a_published_checkpoint_fits(golden) -> None:
    """Strict loading on the meta device: nothing missing, nothing unexpected, every shape right.

    The reference list has a small BEATs (width 24, two layers) where it says "BEATs base", although the projector in
    the same list reads 768 channels: such a network can be loaded, not run.
    """
    shapes = full_size(golden)
    config = config_from_official(FULL, shapes)
    assert config.vision == {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_channels": 3,
        "image_size": 384,
        "patch_size": 14,
        "vision_use_head": True,
    }
    assert (config.num_frames, config.scores, config.vision_layer) == (16, 3, -2)
    with torch.device("meta"):
        network = AgavNetwork(config)
        state = {official_to_ours(name): torch.empty(shape) for name, shape in shapes.items()}
    network.load_state_dict(state, assign=True)
    golden.same({ours_to_official(name) for name in network.state_dict()} <= shapes.keys(), True)
    assert network.language.config.rope_parameters["rope_theta"] == 1e6


@pytest.mark.golden(case="agav_rater")
def test_the_published_beats_is_recognised(golden) -> None:
    file, shapes = tiny(golden)
    published = replace(config_from_official(file, shapes), audio=BeatsConfig())
    with torch.device("meta"):
        state = AgavNetwork(published).state_dict()
    shapes = {ours_to_official(name): tuple(weight.shape) for name, weight in state.items()}
    del file["audio_config"]
    assert config_from_official(file, shapes) == published
    assert (published.audio.layers, published.audio.width, published.audio.gradient_ratio) == (12, 768, 1.0)


@pytest.mark.golden(case="agav_rater")
def test_names_go_both_ways(golden) -> None:
    shapes = tiny(golden)[1]
    for name in shapes:
        ours = official_to_ours(name)
        back = ours_to_official(ours)
        if "relative_attention_bias" not in name:
            golden.same(back, name)
        assert official_to_ours(back) == ours
    assert len({official_to_ours(name) for name in shapes if "relative_attention_bias" in name}) == 1


@pytest.mark.golden(case="agav_rater")
def test_the_shared_table_may_stand_under_any_layer(golden) -> None:
    file, shapes = tiny(golden)
    tables = [name for name in shapes if "relative_attention_bias" in name]
    whole = config_from_official(file, shapes)
    state = golden_state(golden.data)
    for kept in tables:
        dropped = set(tables) - {kept}
        some = {name: shape for name, shape in shapes.items() if name not in dropped}
        assert config_from_official(file, some) == whole
        network = AgavNetwork(whole)
        network.load_state_dict({official_to_ours(name): state[name] for name in some})
    with pytest.raises(
        AvrewardError, match=r"expected an entry model.audio_tower.*relative_attention_bias.*, got none"
    ):
        config_from_official(file, {name: shape for name, shape in shapes.items() if name not in tables})


@pytest.mark.golden(case="agav_rater")
def test_the_files_own_words_win(golden) -> None:
    file, shapes = tiny(golden)
    file = {**file, "vision_config": {**file["vision_config"], "layer_norm_eps": 1e-3}}
    file["audio_config"] = {**file["audio_config"], "max_distance": 77}
    del file["num_frames"], file["vision_config"]["image_size"]
    config = config_from_official({**file, "rms_norm_eps": 1e-5}, shapes)
    assert (config.vision["layer_norm_eps"], config.audio.max_distance, config.num_frames) == (1e-3, 77, 8)
    assert config.language["rms_norm_eps"] == 1e-5
    assert config.vision["image_size"] == golden.data["config"]["vision"]["image_size"]
    assert AgavConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.golden(case="agav_rater")
def test_what_cannot_be_loaded_is_named(golden) -> None:
    file, shapes = tiny(golden)
    without = {name: value for name, value in file.items() if name != "hidden_size"}
    with pytest.raises(AvrewardError, match=r"config.json: expected an entry 'hidden_size', got none"):
        config_from_official(without, shapes)
    without = {name: value for name, value in file.items() if name != "vision_config"}
    with pytest.raises(
        AvrewardError, match=r"'num_attention_heads' under 'vision_config' for a SigLIP of width .*, got none"
    ):
        config_from_official(without, shapes)
    with pytest.raises(
        AvrewardError, match=r"mm_projector_type\): expected one of stc_connector_v35, got 'mlp2x_gelu'"
    ):
        config_from_official({**file, "mm_projector_type": "mlp2x_gelu"}, shapes)
    with pytest.raises(AvrewardError, match=r"checkpoint: expected an entry lm_head_reg.weight, got none"):
        config_from_official(file, {name: shape for name, shape in shapes.items() if name != "lm_head_reg.weight"})


def test_other_names_are_named() -> None:
    with pytest.raises(AvrewardError, match=r"expected entries of AGAV-Rater, got mlpscore.fc1.weight"):
        official_to_ours("mlpscore.fc1.weight")
    with pytest.raises(AvrewardError, match=r"expected entries of AGAV-Rater, got head.weight"):
        ours_to_official("head.weight")
