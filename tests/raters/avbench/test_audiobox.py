"""Audiobox Aesthetics: layers, heads and windows against the original; as a rater."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_weights import golden_state
from safetensors.torch import save_file
from tiny.avbench_audio import AUDIOBOX, tiny_audiobox

from avreward import Clip, load_rater
from avreward.errors import AvrewardError
from avreward.raters.avbench import AudioboxConfig, AudioboxNetwork, AudioboxRater
from avreward.raters.avbench._audiobox import WINDOW
from avreward.raters.avbench._audiobox_network import AXES, held_name

NAMES = ("audio_aesthetics", "content_enjoyment", "content_usefulness", "production_complexity", "production_quality")


def published(golden) -> AudioboxConfig:
    """The sizes of a case, which does not state them all in its entries."""
    shapes = {name: tuple(shape) for name, shape, _ in golden.data["state_dict"]}
    sizes = AudioboxConfig.of(shapes, golden.data["config"]["head"], "case").to_dict()
    return AudioboxConfig(**{**sizes, "max_distance": golden.data["config"]["wavlm"]["max_distance"]})


def original(golden) -> AudioboxRater:
    network = AudioboxNetwork(published(golden)).eval()
    network.load_state_dict({held_name(name): weight for name, weight in golden_state(golden.data).items()})
    return AudioboxRater(network)


def waves(golden) -> list[torch.Tensor]:
    return [
        about["amplitude"] * torch.randn(1, about["samples"], generator=torch.Generator().manual_seed(about["seed"]))[0]
        for about in golden.data["inputs"]["waves"]["clips"]
    ]


def sampled(golden, name: str, found: torch.Tensor) -> torch.Tensor:
    return found.flatten()[:: golden.data["samples"][f"{name}.sample"]["flatten_step"]]


@pytest.mark.golden(case="audiobox_aesthetics")
@torch.no_grad()
def test_the_original(golden) -> None:
    rater, tensors, given = original(golden), golden.tensors(), waves(golden)
    limit = golden.numbers("tensors")[0]
    pieces = [piece for wave in given for piece in wave.split(WINDOW)]
    lengths = torch.tensor([len(piece) for piece in pieces])
    golden.close(lengths / WINDOW, golden.data["windows"]["weight_of_window"], atol=1e-9)
    windows = torch.stack([torch.nn.functional.pad(piece, (0, WINDOW - len(piece))) for piece in pieces])
    network = rater.module
    golden.near(
        sampled(golden, "conv_features", network.wavlm_model.feature_extractor(windows)),
        tensors["conv_features.sample"],
        limit,
    )
    states, mask = network.states(windows, lengths)
    golden.same(mask.sum(1), tensors["feature_padding_mask_valid_frames"])
    valid = mask[..., None].expand_as(states[0])
    for number, state in enumerate(states):
        counted = sampled(golden, f"layer{number}", valid)
        golden.near(sampled(golden, f"layer{number}", state)[counted], tensors[f"layer{number}.sample"][counted], limit)
    for axis in AXES:
        embedding = network.embedding(axis, states, mask)
        golden.near(embedding, tensors[f"embedding.{axis}"], limit)
        golden.near(network.proj_layer[axis](embedding)[:, 0], tensors[f"raw.{axis}"], limit)
    unmasked, _ = network.states(windows, torch.full_like(lengths, WINDOW))
    for number, state in enumerate(unmasked):
        name = f"nomask_layer{number}"
        golden.near(sampled(golden, name, state), tensors[f"{name}.sample"], limit)
    alone, whole = network.states(given[1][None], torch.tensor([len(given[1])]))
    for axis in AXES:
        raw = network.proj_layer[axis](network.embedding(axis, alone, whole))[:, 0]
        golden.near(raw, tensors[f"unpadded.{axis}"], limit)


@pytest.mark.golden(case="audiobox_aesthetics")
@torch.no_grad()
def test_the_scores_of_clips(golden) -> None:
    rater = original(golden)
    found = rater([Clip(audio=wave[None], sample_rate=16000) for wave in waves(golden)])
    limit = golden.numbers("clip_scores")[0]
    assert found.names == NAMES
    for row, expected in zip(found.values, golden.data["clip_scores"], strict=True):
        golden.close(row, [expected[name] for name in ("avbench", *AXES)], atol=limit)


@pytest.mark.golden(case="audiobox_aesthetics")
def test_the_published_entries(golden) -> None:
    entries = {name: tuple(shape) for name, shape, _ in golden.file("full_size_keys.json")}
    config = AudioboxConfig.of(entries, {}, "case")
    golden.same(config, AudioboxConfig())
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in AudioboxNetwork(config).state_dict().items()}
    golden.same(ours, {held_name(name): shape for name, shape in entries.items()})


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(int(16000 * seconds)) / 16000
    return 0.1 * torch.randn(1, len(time), generator=generator) + 0.3 * torch.sin(
        2 * torch.pi * 200 * (seed + 1) * time
    )


def clip(seconds: float = 0.5, seed: int = 0) -> Clip:
    return Clip(audio=noise(seconds, seed), sample_rate=16000)


@torch.no_grad()
def test_neighbours_do_not_matter() -> None:
    rater, given = tiny_audiobox(), [clip(0.3), clip(11.5, 1), clip(2, 2)]
    together = rater(given).values
    assert together.std(0).min() > 1e-4
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected, rtol=1e-4, atol=1e-5)


def test_gradients_agree_with_finite_differences(check_gradient, monkeypatch) -> None:
    monkeypatch.setattr("avreward.raters.avbench._audiobox.WINDOW", 4000)
    rater = tiny_audiobox(rounding="none")
    rater.module.double()
    at = noise(0.3).double()  # two windows, one padded
    check_gradient(lambda w: rater([Clip(audio=w, sample_rate=16000)]).values[0], at, rtol=1e-4)


def test_audio_that_has_no_score() -> None:
    given = [Clip(audio=torch.zeros(1, 800), sample_rate=8000), Clip(video=torch.rand(2, 3, 8, 8), fps=2), clip(0.01)]
    scores = tiny_audiobox()(given)
    assert [bool(row.all()) for row in scores.present] == [False, False, True]
    assert "silent" in scores.reasons[0]["production_quality"]
    assert "no audio" in scores.reasons[1]["audio_aesthetics"]


def published_state(rater: AudioboxRater) -> dict[str, Any]:
    """The weights of a tiny network under the published names."""
    old = {
        "masked_spec_embed": "mask_emb",
        "feature_projection.layer_norm": "layer_norm",
        "feature_projection.projection": "post_extract_proj",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0": "encoder.pos_conv.0.weight_g",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1": "encoder.pos_conv.0.weight_v",
        "encoder.pos_conv_embed.conv": "encoder.pos_conv.0",
        "attention.gru_rel_pos_const": "self_attn.grep_a",
        "attention.gru_rel_pos_linear": "self_attn.grep_linear",
        "attention.rel_attn_embed": "self_attn.relative_attention_bias",
        "feed_forward.intermediate_dense": "fc1",
        "feed_forward.output_dense": "fc2",
    }
    state = {}
    for name, weight in rater.module.state_dict().items():
        for ours, theirs in old.items():
            if ours in name:
                name = name.replace(ours, theirs)
                break
        if ".encoder.layers." in name:
            name = name.replace(".attention.", ".self_attn.").replace("s.0.layer_norm", "s.0.self_attn_layer_norm")
            name = name.replace("s.1.layer_norm", "s.1.self_attn_layer_norm")
        if ".conv_layers." in name:
            name = name.replace(".conv.", ".0.").replace(".layer_norm.", ".2.")
        state[name] = weight.contiguous()
    return state


@torch.no_grad()
def test_the_published_files_and_a_saved_rater(tmp_path: Path) -> None:
    rater = tiny_audiobox()
    folder = tmp_path / "published"
    folder.mkdir()
    save_file(published_state(rater), folder / "model.safetensors")
    targets = {axis: {"mean": 5.0, "std": 2.0} for axis in AXES}
    loaded = load_rater(folder)
    assert isinstance(loaded, AudioboxRater)
    assert loaded.module.config == AudioboxConfig(**{**AUDIOBOX.to_dict(), "max_distance": 800})
    (folder / "config.json").write_text(json.dumps({"proj_num_layer": 5, "target_transform": targets}))
    shifted = load_rater(folder)
    low, high = (one([clip()])["production_quality"] for one in (loaded, shifted))
    torch.testing.assert_close((low - 6.57505) / 1.51466, (high - 5) / 2, rtol=1e-4, atol=1e-5)
    again = AudioboxRater.from_pretrained(rater.save_pretrained(tmp_path / "saved"))
    assert again.fingerprint == rater.fingerprint
    torch.testing.assert_close(again([clip()]).values, rater([clip()]).values)


def test_other_files(tmp_path: Path) -> None:
    save_file({"backbone.conformer.class_token": torch.zeros(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"proj_num_layer": 5}')
    with pytest.raises(AvrewardError, match=r"expected a checkpoint of Audiobox Aesthetics .* got a checkpoint of DF"):
        load_rater(tmp_path)
