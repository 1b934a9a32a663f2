"""DF Arena: length rule, layers, gate, conformer and logits against the original; as a rater."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_weights import golden_state
from tiny.avbench_audio import DF_ARENA, tiny_df_arena

from avreward import Clip, load_rater
from avreward.errors import AvrewardError
from avreward.raters.avbench import DfArenaConfig, DfArenaNetwork, DfArenaRater
from avreward.raters.avbench._conformer import _sinusoids
from avreward.raters.avbench._df_arena import repeated
from avreward.raters.avbench._df_arena_network import held_name

TABLE = "backbone.conformer.positional_emb"


def original(golden) -> DfArenaNetwork:
    case = golden.data
    shapes = {name: tuple(shape) for name, shape, _ in case["state_dict"]}
    # The case was made under transformers 5, which hands out the last hidden state before the final layer norm.
    sizes = DfArenaConfig.of(shapes, case["config"]["num_attention_heads"], "case")
    network = DfArenaNetwork(replace(sizes, final_norm=False)).eval()
    state = golden_state(case)
    state[TABLE] = _sinusoids(*shapes[TABLE][1:])[None]
    network.load_state_dict({held_name(name): weight for name, weight in state.items()})
    return network


def wave_of(row) -> torch.Tensor:
    noise = torch.randn(row["samples"], generator=torch.Generator().manual_seed(row["seed"]))
    time = torch.arange(row["samples"], dtype=torch.float64) / 16000
    return 0.08 * noise + 0.3 * torch.sin(2 * torch.pi * row["tone_hz"] * time).float()


@pytest.mark.golden(case="speech_realism")
@torch.no_grad()
def test_the_original(golden) -> None:
    network, tensors, limit = original(golden), golden.tensors(), golden.numbers("tensors")[0]
    backbone = network.backbone
    golden.near(backbone.conformer.positional_emb[0, :3], tensors["positional_emb.first3"], limit)
    states = backbone.states(repeated(wave_of(golden.data["rows"][0]))[None])
    for number, state in enumerate(states):
        golden.near(state.flatten(), tensors[f"hidden{number}.sample"], limit)
    pooled, gates = backbone.gates(states)
    golden.near(pooled.transpose(0, 1), tensors["layer_pooled"], limit)
    golden.near(gates.transpose(0, 1), tensors["layer_gate"], limit)
    fused = backbone.fused(states)
    golden.near(fused.flatten(), tensors["fused.sample"], limit)
    hidden = backbone.conformer.tokens(fused)
    for number, block in enumerate(backbone.conformer.encoder_blocks):
        hidden = block(hidden)
        golden.near(hidden.flatten(), tensors[f"block{number}.sample"], limit)
    golden.near(hidden[:, 0], tensors["class_embedding"], limit)


@pytest.mark.golden(case="speech_realism")
@torch.no_grad()
def test_the_scores_of_clips(golden) -> None:
    rater, rows = DfArenaRater(original(golden), "none"), golden.data["rows"]
    for_logits, for_scores = golden.numbers("rows")
    waves = [wave_of(row) for row in rows]
    logits = rater.module(torch.stack([repeated(wave) for wave in waves]))
    golden.close(logits, torch.tensor([row["logits"] for row in rows]), atol=for_logits)
    found = rater([Clip(audio=wave[None], sample_rate=16000) for wave in waves])
    golden.close(found["speech_realism"], [row["bonafide"] for row in rows], atol=for_scores)
    for row in golden.data["pad_rows"]:
        padded = repeated(torch.arange(row["samples"], dtype=torch.float64))
        golden.same([len(padded), float(padded[-1]), float(padded.sum())], [row["length"], row["last"], row["sum"]])


@pytest.mark.golden(case="speech_realism")
def test_the_published_entries(golden) -> None:
    entries = {name: tuple(shape) for name, shape, _ in golden.file("full_size_keys.json")}
    config = DfArenaConfig.of(entries, 16, "case")
    golden.same(config, DfArenaConfig())
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in DfArenaNetwork(config).state_dict().items()}
    golden.same(ours, {held_name(name): shape for name, shape in entries.items()})


def clip(seconds: float = 0.5, seed: int = 0) -> Clip:
    noise = torch.rand(1, int(16000 * seconds), generator=torch.Generator().manual_seed(seed)) - 0.5
    time = torch.arange(noise.shape[1]) / 16000
    return Clip(audio=0.3 * noise + 0.4 * torch.sin(2 * torch.pi * 150 * (seed + 1) * time), sample_rate=16000)


@torch.no_grad()
def test_neighbours_do_not_matter_nor_what_comes_after_four_seconds() -> None:
    rater, given = tiny_df_arena(), [clip(0.3), clip(5, 1), clip(2, 2)]
    together = rater(given).values
    assert together.std() > 1e-3
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected, rtol=1e-4, atol=1e-5)
    cut = Clip(audio=given[1].audio[:, :64600], sample_rate=16000)
    torch.testing.assert_close(rater([cut]).values, rater([given[1]]).values)


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    rater = tiny_df_arena(rounding="none")
    rater.module.double()
    check_gradient(lambda w: rater([Clip(audio=w, sample_rate=16000)]).values[0], clip(0.3).audio, rtol=1e-4)


def test_audio_that_has_no_score() -> None:
    late = torch.cat([torch.zeros(1, 64600), clip().audio], 1)
    scores = tiny_df_arena()([Clip(audio=late, sample_rate=16000), Clip(video=torch.rand(2, 3, 8, 8), fps=2)])
    assert not scores.present.any()
    assert "silent throughout the 4.04 s heard" in scores.reasons[0]["speech_realism"]
    assert "no audio" in scores.reasons[1]["speech_realism"]


@torch.no_grad()
def test_the_published_files_and_a_saved_rater(tmp_path: Path) -> None:
    rater, folder = tiny_df_arena(), tmp_path / "published"
    folder.mkdir()
    state = rater.module.state_dict()
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): weight
        for name, weight in state.items()
    }
    assert older.keys() != state.keys()
    (folder / "config.json").write_text(json.dumps({"model_type": "df_arena", "num_attention_heads": 2}))
    for entries in (older, state):
        torch.save(entries, folder / "pytorch_model.bin")
        loaded = load_rater(folder)
        assert isinstance(loaded, DfArenaRater)
        assert loaded.module.config == DF_ARENA
        torch.testing.assert_close(loaded([clip()]).values, rater([clip()]).values)
    again = DfArenaRater.from_pretrained(rater.save_pretrained(tmp_path / "saved"))
    assert again.fingerprint == rater.fingerprint


@torch.no_grad()
def test_the_state_of_the_last_layer(tmp_path: Path) -> None:
    rater = tiny_df_arena()
    backbone, waves = rater.module.backbone, repeated(clip().audio[0])[None]
    normed = backbone.states(waves)
    torch.testing.assert_close(normed[-1], backbone.ssl_model(waves).last_hidden_state)
    raw = load_rater(rater.save_pretrained(tmp_path / "saved"), final_norm=False)
    assert isinstance(raw, DfArenaRater)
    states = raw.module.backbone.states(waves)
    torch.testing.assert_close(states[:-1], normed[:-1])
    torch.testing.assert_close(backbone.ssl_model.encoder.layer_norm(states[-1]), normed[-1])
    assert raw.fingerprint != rater.fingerprint


def test_other_files() -> None:
    with pytest.raises(AvrewardError, match="got a checkpoint of NISQA; give Speech-Arena"):
        DfArenaConfig.of({"time_dependency.model.linear.weight": (3, 3)}, 16, "file")
