"""Published files of DOVER: sizes from shapes, and what a wrong file looks like."""

from __future__ import annotations

import pytest
import torch
from golden_sizes import dover_sizes
from tiny.dover import CONFIG, tiny_network, write_tiny_dover

from avreward import load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.dover._keys import config_from_shapes


def shapes_of(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.golden("config.technical")
def test_the_original_entries_give_the_published_sizes(golden) -> None:
    shapes = {name: tuple(shape) for name, shape, _ in golden.data["state_dict"]}
    golden.same(config_from_shapes(shapes, "file"), dover_sizes(golden.data["config"]))
    lean = {name: shape for name, shape in shapes.items() if not name.endswith("relative_position_index")}
    golden.same(config_from_shapes(lean, "file"), dover_sizes(golden.data["config"]))


def test_other_sizes() -> None:
    assert config_from_shapes(shapes_of(tiny_network().state_dict()), "file") == CONFIG


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"fragments_backbone.norm.weight": 3}, "got a checkpoint of FAST-VQA; give DOVER.pth"),
        ({"technical_backbone.stem.0.weight": 3}, "got a checkpoint of DOVER-Mobile; give DOVER.pth"),
        ({"head.weight": 3}, "got another network, whose first entry is head.weight; give"),
        ({}, "got a file without entries; give"),
    ],
)
def test_another_system(tmp_path, entries, said) -> None:
    torch.save({name: torch.zeros(side) for name, side in entries.items()}, tmp_path / "DOVER.pth")
    with pytest.raises(AvrewardError, match=said) as found:
        load_rater(tmp_path)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("aesthetic_head.fc_hid.bias"), "1 missing: aesthetic_head.fc_hid.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (lambda s: s.update({"technical_head.fc_hid.bias": torch.zeros(9)}), r"\(9,\) instead of \(4,\)"),
        (lambda s: s.pop("technical_head.fc_hid.weight"), r"a checkpoint of DOVER, without 'technical_head.fc_hid"),
    ],
)
def test_missing_and_foreign_entries(tmp_path, change, said) -> None:
    state = dict(tiny_network().state_dict())
    change(state)
    torch.save(state, tmp_path / "DOVER.pth")
    with pytest.raises(AvrewardError, match=said):
        load_rater(tmp_path)


def test_several_files(tmp_path) -> None:
    for name in ("DOVER.pth", "DOVER_plus_plus.pth"):
        write_tiny_dover(tmp_path, name)
    with pytest.raises(AvrewardError, match=r"expected one file DOVER\*.pth, got DOVER.pth, DOVER_plus_plus.pth"):
        load_rater(tmp_path)
    assert load_rater(tmp_path, file="DOVER_plus_plus.pth").variant == "dover++"
    assert load_rater(tmp_path, file="DOVER.pth").variant == "dover"
    with pytest.raises(ArgumentError, match=r"file: expected one of DOVER\.pth, DOVER_plus_plus\.pth, got 'x.pth'"):
        load_rater(tmp_path, file="x.pth")
