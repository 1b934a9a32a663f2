"""Networks of `transformers` from folders: differences, damaged files, malicious files."""

from __future__ import annotations

import json

import pytest
import torch
from lmm_checks import film
from safetensors.torch import load_file, save_file
from tiny.qwen_omni import tiny_qwen2_5_omni

from avreward import load_rater
from avreward.errors import AvrewardError

CLIP = film(3, prompt="a dog")


@pytest.fixture(scope="module")
def rater(omni_folder):
    return load_rater(omni_folder)


def test_shards_and_old_files_give_the_same(omni_folder, rater, changed) -> None:
    sharded, old = changed(omni_folder), changed(omni_folder)
    state = load_file(sharded / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    names = sorted(state)
    parts = {f"model-{i + 1:05}-of-00003.safetensors": names[i::3] for i in range(3)}
    for file, keys in parts.items():
        save_file({key: state[key] for key in keys}, sharded / file, metadata={"format": "pt"})
    weight_map = {key: file for file, keys in parts.items() for key in keys}
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (old / "model.safetensors").unlink()
    torch.save(state, old / "pytorch_model.bin")
    for folder in (sharded, old):
        assert load_rater(folder).fingerprint == rater.fingerprint


def test_differences_are_listed(omni_folder, changed, capfd) -> None:
    def change(state):
        del state["audio_tower.conv2.bias"]
        state["visual.patch_embed.proj.weight"] = torch.zeros(3, 3)
        state["nonsense.weight"] = torch.zeros(1)

    folder = changed(omni_folder, change)
    with pytest.raises(AvrewardError) as caught:
        load_rater(folder)
    text = str(caught.value)
    assert text.startswith(f"{folder}: 1 of a different shape: ")
    assert "visual.patch_embed.proj.weight (3, 3) instead of (16, " in text
    assert "audio_tower.conv2.bias" in text.split("1 missing: ")[1]
    assert "1 unexpected: nonsense.weight" in text
    assert text.endswith("is it another model? Pass allow=['NAME'] to accept a name")
    assert "LOAD REPORT" not in "".join(capfd.readouterr())  # reported once


def test_unexpected_weights_can_be_allowed(omni_folder, rater, changed) -> None:
    folder = changed(omni_folder, lambda state: state.update({"nonsense.weight": torch.zeros(1)}))
    with pytest.raises(AvrewardError, match=r"1 unexpected: nonsense\.weight"):
        load_rater(folder)
    for allow in (["nonsense.weight"], ["nonsense.*"]):
        assert load_rater(folder, allow=allow).fingerprint == rater.fingerprint


def test_missing_weights_can_be_allowed(omni_folder, changed) -> None:
    folder = changed(omni_folder, lambda state: state.pop("audio_tower.conv2.bias"))
    with pytest.raises(AvrewardError, match=r"1 missing: (.*\.)?audio_tower\.conv2\.bias; is it another"):
        load_rater(folder)
    scores = load_rater(folder, allow=["*audio_tower.conv2.bias"])([CLIP])
    assert scores.values.isfinite().all()


class Recorded:
    ran = False

    def __reduce__(self):
        return _run, ()


def _run() -> dict:
    Recorded.ran = True
    return {}


def test_a_pickle_that_runs_code_is_refused_and_not_run(omni_folder, changed) -> None:
    folder = changed(omni_folder)
    (folder / "model.safetensors").unlink()
    torch.save({"a": Recorded()}, folder / "pytorch_model.bin")
    Recorded.ran = False
    with pytest.raises(
        AvrewardError, match="a pickle with other objects, which isn't safe to read; convert the weights"
    ):
        load_rater(folder)
    assert not Recorded.ran


@pytest.mark.parametrize("left", [5, 3000, -3000])
def test_a_download_that_broke_off(omni_folder, changed, left: int) -> None:
    folder = changed(omni_folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(AvrewardError, match=r"model\.safetensors: expected a complete file, .*; download it again"):
        load_rater(folder)


def test_no_weights(omni_folder, changed) -> None:
    folder = changed(omni_folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(AvrewardError, match=r"expected model\.safetensors, .*, got none of them"):
        load_rater(folder)


def test_no_tokenizer(omni_folder, changed) -> None:
    folder = changed(omni_folder)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(
        AvrewardError, match=r"expected a tokenizer, got none that can be read .*; add its tokenizer\.json"
    ):
        load_rater(folder)


def test_remote_code_is_never_run(omni_folder, rater, changed) -> None:
    def claim(config):
        config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config", "AutoTokenizer": ["evil.T", None]}

    folder = changed(omni_folder, config=claim)
    marker = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Model: ...\nclass Config: ...\nclass T: ...\n")
    tokenizer = folder / "tokenizer_config.json"
    data = json.loads(tokenizer.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}}
    tokenizer.write_text(json.dumps(data))
    try:
        found = load_rater(folder)
        assert found.fingerprint == rater.fingerprint
    except AvrewardError:
        pass  # refused
    assert not marker.exists()


def test_types_places_and_attention(omni_folder, rater) -> None:
    half = load_rater(omni_folder, dtype="bfloat16")
    assert half.settings["dtype"] == "bfloat16"
    assert {weight.dtype for weight in half.module.parameters()} == {torch.bfloat16}
    for buffer, own in zip(half.module.buffers(), rater.module.buffers(), strict=True):
        assert buffer.dtype == own.dtype  # rotary frequencies stay in single precision
    spread = load_rater(omni_folder, device_map={"": "cpu"})
    eager = load_rater(omni_folder, attention="eager")
    assert spread.fingerprint == rater.fingerprint
    assert len({each.fingerprint for each in (rater, half, eager)}) == 3
    with torch.no_grad():
        expected = rater([CLIP]).values
        for each, rtol in ((half, 0.05), (spread, 1e-5), (eager, 1e-4)):
            torch.testing.assert_close(each([CLIP]).values, expected, rtol=rtol, atol=0)


def test_a_folder_says_what_was_tried(omni_folder, changed) -> None:
    folder = changed(omni_folder, config=lambda config: config["text_config"].update(hidden_size=-3))
    with pytest.raises(AvrewardError, match=f"{folder}: transformers can't load"):
        load_rater(folder)


def test_tied_embeddings_are_kept(tmp_path) -> None:
    """A model whose head is its embedding has one tensor for both in the file, and both in memory."""
    from tiny.qwen_vl import tiny_qwen2_vl
    from transformers import Qwen2VLForConditionalGeneration

    backbone = tiny_qwen2_vl()
    config = backbone.module.config
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = True
    module = Qwen2VLForConditionalGeneration(config)
    module.save_pretrained(tmp_path / "theirs")
    backbone.tokenizer.save_pretrained(tmp_path / "theirs")
    rater = load_rater(tmp_path / "theirs")
    assert rater.backbone.head.weight is rater.backbone.language.get_input_embeddings().weight
    again = load_rater(rater.save_pretrained(tmp_path / "ours"))
    assert again.backbone.head.weight is again.backbone.language.get_input_embeddings().weight
    assert again.fingerprint == rater.fingerprint


def test_the_backbone_is_the_one_that_was_saved(omni_folder) -> None:
    """Weight by weight."""
    saved = tiny_qwen2_5_omni().module.state_dict()
    loaded = load_rater(omni_folder).module.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
