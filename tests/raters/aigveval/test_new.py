"""A new AIGVEval of public parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny.aigveval import HEADS, tiny_network, tokenizer

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import new_aigveval
from avreward.raters.aigveval._keys import _PREFIXES, official_to_ours, ours_to_official

CLIP = Clip(video=torch.rand(12, 3, 40, 40, generator=torch.Generator().manual_seed(0)), fps=8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> dict[str, Path]:
    """The parts of a tiny network as they are published, each with what is not needed."""
    folder = tmp_path_factory.mktemp("parts")
    state = {name: tensor.clone() for name, tensor in tiny_network().state_dict().items()}

    def of(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}

    language = folder / "vicuna"
    tokenizer().save_pretrained(language)
    (language / "config.json").write_text(json.dumps({"model_type": "llama", **HEADS}))
    words = {f"model.{name}": tensor for name, tensor in of("language.").items()}
    save_file(words | {"lm_head.weight": state["lm_head.weight"]}, language / "model.safetensors", {"format": "pt"})
    vision = {f"vision_model.{name}": tensor for name, tensor in of("vision.").items()}
    (folder / "blip").mkdir()
    save_file(vision | {"text_encoder.x": torch.ones(1)}, folder / "blip" / "model.safetensors", {"format": "pt"})
    own = {
        ours_to_official(f"vision.{name}").replace("blip.", "visual_encoder.", 1): tensor
        for name, tensor in of("vision.").items()
    }
    torch.save({"model": own | {"text_decoder.x": torch.ones(1)}}, folder / "blip.pth")
    motion = of("motion.")
    torch.save({"model_state": motion | {"blocks.6.proj.weight": torch.ones(1)}}, folder / "slowfast.pyth")
    swin = {f"backbone.{name}": tensor for name, tensor in of("technical.").items()}
    torch.save({"state_dict": swin | {"cls_head.fc_cls.weight": torch.ones(1)}}, folder / "swin.pth")
    return {"language": language, "blip": folder / "blip", "slowfast": folder / "slowfast.pyth",
            "technical": folder / "swin.pth"}  # fmt: skip


def test_the_parts_are_where_they_belong(parts, tmp_path) -> None:
    rater, again = new_aigveval(**parts), new_aigveval(**{**parts, "blip": parts["blip"].with_suffix(".pth")})
    assert again.fingerprint == rater.fingerprint
    assert new_aigveval(**parts, seed=1).fingerprint != rater.fingerprint
    assert rater.origin["options"]["inverted"] is False
    whole, found = tiny_network().state_dict(), rater.module.state_dict()
    fresh = ("vision_projector.", "motion_positions.", "motion_projector.", "technical_projector.")
    for name, tensor in whole.items():
        if name.startswith(fresh):
            assert tensor.shape[1:] == found[name].shape[1:]
        else:
            torch.testing.assert_close(found[name], tensor, msg=name)
    assert found["motion_positions.weight"].shape[0] == 2000
    with torch.no_grad():
        scores = rater([CLIP])
        saved = load_rater(rater.save_pretrained(tmp_path / "start"))
        assert scores.present.all()
        torch.testing.assert_close(saved([CLIP]).values, scores.values)


def test_a_part_of_another_network_is_named(parts, tmp_path) -> None:
    with pytest.raises(AvrewardError, match=r"slowfast: .*swin\.pth: expected entries such as blocks\.0"):
        new_aigveval(**{**parts, "slowfast": parts["technical"]})
    with pytest.raises(ArgumentError, match="technical: expected a file or folder with weights"):
        new_aigveval(**{**parts, "technical": tmp_path / "none.pth"})
    with pytest.raises(ArgumentError, match="adapter: expected none for a new rater"):
        new_aigveval(**parts, adapter="x")


def test_names_there_and_back() -> None:
    for name in tiny_network().state_dict():
        assert official_to_ours(ours_to_official(name)) == name
    with pytest.raises(AvrewardError, match="has no entry fusion"):
        ours_to_official("fusion.query_norm.weight")
    assert len(set(_PREFIXES.values())) == len(_PREFIXES)
