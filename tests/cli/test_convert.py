"""`avreward convert`."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

import torch
from lmm_checks import film
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avreward import load_rater
from avreward.cli._common import NOTHING, USAGE
from avreward.raters.agav._keys import ours_to_official


def types(folder) -> set[str]:
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        return {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118


def test_a_published_checkpoint_becomes_ours(run, agav_folder, tmp_path) -> None:
    out = tmp_path / "ours"
    result = run("convert", agav_folder, out)
    assert result.exit_code == 0
    assert result.stdout == ""
    before, after = load_rater(agav_folder), load_rater(out)
    assert after.fingerprint == before.fingerprint
    assert f"{out}: agav, 1 MB, {after.fingerprint}" in result.stderr
    with torch.no_grad():
        torch.testing.assert_close(after([film()]).values, before([film()]).values, rtol=1e-5, atol=0)
    assert types(out) == {"F32"}  # as they were


@pytest.mark.parametrize(("dtype", "stored"), [("bfloat16", "BF16"), ("float16", "F16")])
def test_another_type(run, agav_folder, tmp_path, dtype: str, stored: str) -> None:
    assert run("convert", agav_folder, tmp_path / "r", "--dtype", dtype).exit_code == 0
    assert types(tmp_path / "r") == {stored}
    assert load_rater(tmp_path / "r", dtype=dtype).fingerprint == load_rater(agav_folder, dtype=dtype).fingerprint


def test_old_files_of_half_precision(run, agav_folder, tmp_path) -> None:
    """A `.bin` file in bfloat16, with a file beside it that holds no weights."""
    old = tmp_path / "old"
    old.mkdir()
    state = {name: tensor.bfloat16() for name, tensor in load_file(agav_folder / "model.safetensors").items()}
    torch.save(state, old / "pytorch_model.bin")
    torch.save({"epochs": 3}, old / "training_args.bin")
    for file in agav_folder.glob("*.json"):
        (old / file.name).write_bytes(file.read_bytes())
    assert run("convert", old, tmp_path / "r").exit_code == 0
    assert types(tmp_path / "r") == {"BF16"}
    half = load_rater(agav_folder, dtype="bfloat16")
    assert load_rater(tmp_path / "r", dtype="bfloat16").fingerprint == half.fingerprint


def test_public_models(run, omni_folder, tmp_path) -> None:
    assert run("convert", omni_folder, tmp_path / "r").exit_code == 0
    assert load_rater(tmp_path / "r").fingerprint == load_rater(omni_folder).fingerprint


def test_differences_stop_it_unless_allowed(run, agav_folder, tmp_path) -> None:
    lacking, out = tmp_path / "lacking", tmp_path / "r"
    lacking.mkdir()
    state = load_file(agav_folder / "model.safetensors")
    del state[ours_to_official("lm_head.weight")]
    state["model.extra.weight"] = torch.zeros(1)
    save_file(state, lacking / "model.safetensors", metadata={"format": "pt"})
    for file in agav_folder.glob("*.json"):
        (lacking / file.name).write_bytes(file.read_bytes())
    result = run("convert", lacking, out)
    assert result.exit_code == NOTHING
    assert "1 missing: lm_head.weight; 1 unexpected: language.extra.weight" in result.stderr
    assert not out.exists()
    assert run("convert", lacking, out, "--allow", "lm_head.weight", "--allow", "model.extra.*").exit_code == 0
    assert load_rater(out).dimensions


@pytest.mark.parametrize(("source", "code"), [("signals", NOTHING), ("absent-rater", USAGE), ("./absent", USAGE)])
def test_what_has_no_checkpoint(run, tmp_path, source: str, code: int) -> None:
    result = run("convert", source, tmp_path / "r")
    assert result.exit_code == code
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_folder_that_holds_something_else(run, agav_folder, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = run("convert", agav_folder, tmp_path)
    assert result.exit_code == USAGE
    assert "folder: expected a new folder, or one with a saved rater, got " in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
