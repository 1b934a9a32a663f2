"""AIGVEval against the original, from a published file to the score."""

from __future__ import annotations

import json
import re

import pytest
import torch
from golden_weights import golden_state, structured
from tiny.aigveval import tokenizer

from avreward import load_rater
from avreward.media.sampling_rules import UniformFrames
from avreward.raters.aigveval import AigvEvalNetwork, AigvEvalViews, mos_curve
from avreward.raters.aigveval._keys import config_from_official, merged, official_to_ours
from avreward.raters.aigveval.rater import DOWN, UP
from avreward.raters.checkpoints._weights import load_matching
from avreward.raters.encoders import SlowFast, SlowFastConfig, Swin3d, Swin3dConfig
from avreward.raters.encoders._vqa_frames import fragment_view, normalized
from avreward.raters.encoders.fragments import Fragments
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Text, Tokens
from avreward.raters.lmm.readout import FiveLevels


def backbones() -> dict[str, torch.Tensor]:
    """Entries of SlowFast and Swin3D under their names in a checkpoint."""
    slowfast = {
        name.replace("blocks", "slowfast.feature_extraction", 1): t for name, t in SlowFast().state_dict().items()
    }
    return slowfast | {f"swin3d.{name}": t for name, t in Swin3d().state_dict().items()}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The rater of a case, loaded from a file as it is published."""
    pytest.importorskip("transformers")
    raters = {}

    def load(golden):
        name = golden.folder.name
        if name not in raters:
            case, folder = golden.data, tmp_path_factory.mktemp(name)
            # the case leaves out both backbones, whose features it gives
            state = golden_state(case) | backbones()
            torch.save({"state_dict": state}, folder / "aigveval.pth")
            language = case["config"]["llm"]
            told = {name: value for name, value in language.items() if not name.startswith("vocab")}
            told["vision_config"] = {"num_attention_heads": case["config"]["vit"]["num_heads"]}
            (folder / "config.json").write_text(json.dumps(told))
            tokenizer().save_pretrained(folder)
            raters[name] = load_rater(folder, lora_alpha=case["config"]["lora"]["alpha"])
        return raters[name]

    return load


@pytest.mark.golden(case="aigveval")
@torch.no_grad()
def test_the_original(golden, loaded) -> None:
    case, tensors = golden.data, golden.tensors()
    rater = loaded(golden)
    network, backbone = rater.backbone.module, rater.backbone
    assert rater.inverted
    video = structured(case["inputs"]["video"]["seed"], case["inputs"]["video"]["shape"])
    chunks = [Text(tuple(ids)) for ids in case["prompt"]["token_id_chunks"]]
    readout = FiveLevels(backbone.head, tuple(case["prompt"]["level_ids"]), 1.0, 5.0, DOWN, rater.temperature)
    for i, frames in enumerate(video.movedim(1, 2)):
        seen = network.vision(pixel_values=frames).last_hidden_state
        golden.near(seen[:, 0], tensors["vit_cls"][i])
        golden.near(seen[0], tensors["vit_out_frame0"][i])
        tokens = [
            network.encode_semantic(frames),
            network.project_motion(tensors["fast_pooled"][i]),
            network.project_technical(tensors["swin_pooled"][i])[:1].expand(case["config"]["swin_tokens"], -1),
        ]
        golden.near(tokens[0], tensors["key_tokens"][i])
        golden.near(tokens[1], tensors["motion_tokens"][i])
        golden.near(tokens[2], tensors["swin_token"][i].expand_as(tokens[2]))
        parts = [
            chunks[0],
            *(part for text, own in zip(chunks[1:], tokens, strict=True) for part in (Tokens(own), text)),
        ]
        sequence = Rendered(tuple(parts), tuple(range(len(parts))))
        (hidden,) = read(backbone, [sequence])
        golden.near(hidden[-1], tensors["hidden"][i, -1])
        golden.near(backbone.head(hidden[-1]), tensors["logits_last"][i])
        golden.close(readout(hidden)[0], tensors["score"][i], atol=1e-6)


@pytest.mark.golden(case="aigveval")
def test_the_original_names_at_full_size(golden) -> None:
    from accelerate import init_empty_weights

    full = golden.file("full_size_keys.json")["state_dict"]
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in full} | backbones()
        plain = merged(state)
    config = config_from_official({name: tuple(t.shape) for name, t in plain.items()}, {}, "file")
    assert (config.vision["num_hidden_layers"], config.vision["num_attention_heads"]) == (24, 16)
    assert (config.language["num_hidden_layers"], config.language["num_attention_heads"]) == (32, 32)
    assert (config.vision["image_size"], config.language["vocab_size"]) == (224, 32001)
    assert (config.motion, config.technical) == (SlowFastConfig(), Swin3dConfig())
    with init_empty_weights(include_buffers=True):
        network = AigvEvalNetwork(config)
    load_matching(network, plain, rename=official_to_ours)


@pytest.mark.golden(case="aigveval")
def test_the_original_levels(golden) -> None:
    tensors = golden.tensors()
    for name, values in (("wide_score", DOWN), ("wide_score_weights_5_to_1", UP)):
        readout = FiveLevels(torch.nn.Identity(), (0, 1, 2, 3, 4), 1.0, 5.0, values, 100.0)
        found = torch.cat([readout(logits[None]) for logits in tensors["wide_level_logits"]])
        golden.close(found, tensors[name], atol=1e-6)


@pytest.mark.golden(case="aigveval")
def test_the_original_merging(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    found = merged(golden_state(case), case["config"]["lora"]["alpha"])
    expected = {f"llm_model.{name}": tuple(shape) for name, shape, _ in case["merged_llm_state_dict"]}
    golden.same({n: tuple(t.shape) for n, t in found.items() if n.startswith("llm_model.")}, expected)
    for name, tensor in tensors.items():
        if name.startswith("merged."):
            place = re.sub(r"\.([qkvo]_proj)", r".self_attn.\1", name.removeprefix("merged."))
            golden.near(found[f"llm_model.model.{place}.weight"], tensor, 1e-6)


@pytest.mark.golden(case="vqa_preprocess")
def test_the_original_views(golden) -> None:
    tensors, limit = golden.tensors(), golden.numbers("default")[-1]
    (small,) = (name for name in golden.data["tolerances"] if name.endswith("vfrag"))
    percent, *_, level = golden.numbers(small)
    interval = int(re.search(r"interval (\d+)", golden.data["rules"]["aigveval"])[1])
    for row in golden.data["rows"]:
        if row["kind"] != "aigveval":
            continue
        generator = torch.Generator().manual_seed(row["frames"]["seed"])
        levels = torch.randint(0, 256, row["frames"]["shape_T_H_W_C"], generator=generator, dtype=torch.uint8)
        frames = levels.movedim(-1, 1).float() / 255
        count, side = row["video"]["shape"][1:3]
        views = AigvEvalViews(count, interval, dense=row["fast"]["shape"][1], side=side)
        times = torch.arange(len(frames), dtype=torch.float64) / 24
        chosen, dense = views.indices(times)
        golden.same(chosen.tolist(), row["clip_indices"])
        slow = UniformFrames(row["slow"]["shape"][1])(times)
        cells, side = tensors[f"{row['name']}.rnd_h"].shape[:2], row["vfrag"]["shape"][-1]
        cut = Fragments(*cells, side // cells[0], side // cells[1], count, stale_size=True)
        drawn = torch.Generator().manual_seed(row["torch_manual_seed"])
        found = {
            "video": normalized(views.resized(frames[chosen], "exact")),
            "slow": normalized(views.resized(frames[slow], "exact")),
            "fast": normalized(views.resized(frames[dense], "exact")),
            "vfrag": fragment_view(frames[chosen], cut, "exact", generator=drawn),
        }
        for name, view in found.items():
            golden.same(list(view.shape), row[name]["shape"])
            sampled, expected = view.flatten()[:: row[name]["flatten_step"]], tensors[f"{row['name']}.{name}"]
            if name == "vfrag" and row["stale_size_quirk_applies"]:
                away = (sampled - expected).abs()
                golden.at_most((away > limit).double().mean(), percent / 100, "share of samples that differ")
                golden.at_most(away.max(), level * 1.01, "one of 255 levels")
            else:
                golden.close(sampled, expected, atol=limit)


@pytest.mark.golden(case="vqa_losses")
def test_the_original_scale_of_opinions(golden) -> None:
    tensors = golden.tensors()
    pred, label = tensors["rescale.pred"], tensors["rescale.label"]
    atol, rtol = golden.numbers("values")
    golden.close(mos_curve(pred)(pred), tensors["rescale.fixed"], atol, rtol)
    curve = mos_curve(pred, float(label.double().mean()), float(label.double().std(correction=0)))
    golden.close(curve(pred), tensors["rescale.to_label"], atol, rtol)
