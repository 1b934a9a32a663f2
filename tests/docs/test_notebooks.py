"""The notebooks run from top to bottom, in a fresh kernel, and find what they promise."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from page_runner import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = Path(sys.executable).parent  # the command that the notebook calls
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells), "clear the outputs before you commit"
    client = NotebookClient(book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    if path.stem == "rank_your_clips":
        ranks_the_original_first(book)


def ranks_the_original_first(book: Any) -> None:
    shown = [
        "".join(str(out.get("data", out.get("text", ""))) for out in cell.get("outputs", [])) for cell in book.cells
    ]
    ranked, explained, reordered, written = shown[5], shown[7], shown[10], shown[12]
    assert ranked.index("original.mp4") < ranked.index("noise.mp4")
    assert "<table" in ranked
    assert "clipping" in explained
    assert reordered.split("[")[-1].startswith("'candidates/original.mp4'")
    assert "True" in written
