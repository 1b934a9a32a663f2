"""`benchmarks/training.py` at the smallest size."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers")

import training


@pytest.mark.slow
def test_a_row(monkeypatch, capsys) -> None:
    monkeypatch.setattr(training, "WIDTH", 64)
    monkeypatch.setattr(training, "LAYERS", 1)
    training.main(["--kind", "LoRA on the language model", "--steps", "1", "--batch", "2"])
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < row["trained"] < row["weights"]
    assert 0 < row["outside"] < 1
