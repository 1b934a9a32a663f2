"""Folders of tiny raters, and ways to change them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lmm_folders import agav_folder, omni_folder
from safetensors.torch import load_file, save_file

__all__ = ["agav_folder", "omni_folder"]


@pytest.fixture
def changed(tmp_path) -> Callable:
    """A copy of a folder, with its weights (a dictionary of them) or its config.json changed in place by a function."""

    def change(folder: Path, weights: Callable | None = None, config: Callable | None = None) -> Path:
        copy = tmp_path / f"copy{len(list(tmp_path.glob('copy*')))}"
        shutil.copytree(folder, copy)
        if weights is not None:
            state = load_file(copy / "model.safetensors")
            weights(state)
            save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
        if config is not None:
            data = json.loads((copy / "config.json").read_text())
            config(data)
            (copy / "config.json").write_text(json.dumps(data))
        return copy

    return change
