"""Weights in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lmm_checks import noise
from safetensors.torch import save_file
from torch import nn

from avreward.errors import AvrewardError
from avreward.raters.checkpoints._weights import load_matching, read_weights, shapes, stored_type, weight_files

STATE = {"a.weight": noise(2, 3), "b": noise(4, seed=1), "c": torch.arange(5)}


def index(folder: Path, names: dict[str, str], stem: str = "model", ending: str = "safetensors") -> None:
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps({"weight_map": names}))


def layout(folder: Path, kind: str) -> Path:
    if kind == "single":
        save_file(STATE, folder / "model.safetensors")
    elif kind == "bin":
        torch.save(STATE, folder / "pytorch_model.bin")
    elif kind == "wrapped bin":
        torch.save({"state_dict": STATE}, folder / "pytorch_model.bin")
    else:
        ending = kind.split()[1]
        stem = "model" if ending == "safetensors" else "pytorch_model"
        parts = {f"{stem}-1.{ending}": ["a.weight"], f"{stem}-2.{ending}": ["b", "c"]}
        for name, keys in parts.items():
            part = {key: STATE[key] for key in keys}
            save_file(part, folder / name) if ending == "safetensors" else torch.save(part, folder / name)
        index(folder, {key: name for name, keys in parts.items() for key in keys}, stem, ending)
    return folder


@pytest.mark.parametrize("kind", ["single", "sharded safetensors", "bin", "wrapped bin", "sharded bin"])
def test_every_layout_is_read(tmp_path, kind: str) -> None:
    files = weight_files(layout(tmp_path, kind))
    assert len(files) == (2 if "sharded" in kind else 1)
    state = read_weights(files)
    assert state.keys() == STATE.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, STATE[name])
    assert shapes(files) == {"a.weight": (2, 3), "b": (4,), "c": (5,)}
    assert stored_type(tmp_path) == torch.float32


def test_safetensors_come_before_old_files(tmp_path) -> None:
    layout(tmp_path, "bin")
    layout(tmp_path, "single")
    assert [file.name for file in weight_files(tmp_path)] == ["model.safetensors"]


def test_the_stored_type_is_that_of_most_weights(tmp_path) -> None:
    save_file({"a": noise(9).bfloat16(), "b": noise(4), "c": torch.arange(99)}, tmp_path / "model.safetensors")
    torch.save(Recorded(), tmp_path / "training_args.bin")
    assert stored_type(tmp_path) == torch.bfloat16


def test_a_folder_without_weights(tmp_path) -> None:
    with pytest.raises(
        AvrewardError, match=r"expected model.safetensors, model-\*.*, got none of them; give a folder with weights"
    ):
        weight_files(tmp_path)


# ---- malicious and damaged files


class Recorded:
    ran = False

    def __reduce__(self):
        return _run, ()


def _run() -> dict:
    Recorded.ran = True
    return {}


@pytest.mark.parametrize(
    "content", [Recorded(), {"a": Recorded(), "b": torch.zeros(1)}, [Recorded()]], ids=["alone", "named", "listed"]
)
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, content) -> None:
    Recorded.ran = False
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(AvrewardError, match=r"pytorch_model.bin: can't be read safely as weights, since it holds more"):
        read_weights(weight_files(tmp_path))
    assert not Recorded.ran


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"a": torch.zeros(1), "epoch": 3}, torch.zeros(2)], ids=str)
def test_what_is_no_state_dict(tmp_path, content) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(AvrewardError, match="expected a state dict of named tensors, got other objects; save"):
        read_weights(weight_files(tmp_path))


def test_a_text_that_is_called_weights(tmp_path) -> None:
    (tmp_path / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(
        AvrewardError, match=r"pytorch_model.bin: expected a complete file of weights, got a damaged or"
    ):
        read_weights(weight_files(tmp_path))


@pytest.mark.parametrize("left", [5, 60, -8])
def test_a_download_that_broke_off(tmp_path, left: int) -> None:
    file = layout(tmp_path, "single") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    for read in (read_weights, shapes):
        with pytest.raises(AvrewardError, match=r"model.safetensors: expected a complete file, .*; download it again"):
            read([file])


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "sub/model.safetensors", "absent.safetensors", ".."]
)
def test_an_index_names_files_of_its_folder_alone(tmp_path, name: str) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path / "secret.safetensors", folder / "sub" / "model.safetensors"):
        save_file(STATE, place)
    index(folder, {"a": name})
    with pytest.raises(AvrewardError, match=r"expected all files that it names, got no .*; download the folder again"):
        weight_files(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": ["b"]}}', "\xff"])
def test_an_index_that_is_none(tmp_path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="latin-1")
    with pytest.raises(
        AvrewardError, match=r"model.safetensors.index.json: expected an index of weights, .* download it"
    ):
        weight_files(tmp_path)


# ---- what differs


def module() -> nn.Module:
    return nn.ModuleDict({"one": nn.Linear(3, 2), "two": nn.Linear(2, 1, bias=False)})


def full() -> dict[str, torch.Tensor]:
    return {name: noise(*tensor.shape, seed=7) for name, tensor in module().state_dict().items()}


def test_a_match_puts_the_tensors_themselves_into_the_module() -> None:
    with torch.device("meta"):
        empty = module()
    state = full()
    load_matching(empty, state)
    assert all(tensor.data_ptr() == state[name].data_ptr() for name, tensor in empty.state_dict().items())


def test_differences_are_listed() -> None:
    state = {**full(), "two.weight": torch.zeros(4, 4), "three": torch.zeros(1), "four": torch.zeros(1)}
    del state["one.bias"]
    with pytest.raises(AvrewardError) as caught:
        load_matching(module(), state, source="FOLDER")
    assert str(caught.value) == (
        "FOLDER: 1 of a different shape: two.weight (4, 4) instead of (1, 2); 1 missing: one.bias; 2 unexpected: "
        "four, three; is it another model? Pass allow=['NAME'] to accept a name"
    )


def test_a_file_of_which_most_is_missing_is_recognised() -> None:
    state = {"technical_backbone.norm.weight": torch.zeros(2)}
    with pytest.raises(AvrewardError, match=r"; it looks like a checkpoint of DOVER\. Pass allow=\['NAME'\]"):
        load_matching(module(), state)


def test_integers_are_no_weights() -> None:
    state = full() | {"one.bias": torch.zeros(2, dtype=torch.int8)}
    with pytest.raises(AvrewardError, match=r"1 not of floating-point numbers: one\.bias \(int8\); is it"):
        load_matching(module(), state)


def test_a_long_list_is_cut() -> None:
    with pytest.raises(AvrewardError, match=r"20 unexpected: x00, x01, .*x07 and 12 more"):
        load_matching(module(), full() | {f"x{i:02}": torch.zeros(1) for i in range(20)})


def test_nothing_is_loaded_where_something_differs() -> None:
    target = module()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(AvrewardError):
        load_matching(target, full() | {"x": torch.zeros(1)})
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


@pytest.mark.parametrize("allow", [["one.*", "extra.*"], ["one.bias", "extra.x"], ["*"]])
def test_allowed_differences_pass(allow: list[str]) -> None:
    target, state = module(), full() | {"extra.x": torch.zeros(3)}
    assert state.pop("one.bias").any()
    load_matching(target, state, allow)
    assert not target["one"].bias.any()
    assert torch.equal(target["two"].weight, state["two.weight"])


def test_another_shape_cannot_be_allowed() -> None:
    with pytest.raises(AvrewardError, match=r"1 of a different shape: one\.bias"):
        load_matching(module(), full() | {"one.bias": torch.zeros(9)}, ["*"])


def theirs(name: str) -> str:
    """A checkpoint whose names all begin with `m.`; it has nothing else."""
    if not name.startswith("m."):
        raise AvrewardError(f"no entry {name}")
    return name.removeprefix("m.")


@pytest.mark.parametrize("pattern", ["m.one.bias", "one.bias", "m.one.*", "*.bias"])
def test_missing_ones_are_allowed_by_either_name(pattern: str) -> None:
    state = {f"m.{name}": tensor for name, tensor in full().items() if name != "one.bias"}
    with pytest.raises(AvrewardError, match=r"1 missing: one\.bias"):
        load_matching(module(), state, rename=theirs)
    load_matching(module(), state, [pattern], theirs)


@pytest.mark.parametrize(("name", "pattern"), [("m.x", "m.x"), ("m.x", "x"), ("y.x", "y.x"), ("y.x", "y.*")])
def test_unexpected_ones_are_allowed_by_either_name(name: str, pattern: str) -> None:
    state = {f"m.{key}": tensor for key, tensor in full().items()} | {name: torch.zeros(1)}
    with pytest.raises(AvrewardError, match=r"1 unexpected: x|no entry y\.x"):
        load_matching(module(), state, rename=theirs)
    load_matching(module(), state, [pattern], theirs)
