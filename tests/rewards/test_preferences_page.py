"""The examples of docs/preferences.md run, one after another."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "preferences.md"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    with torch.random.fork_rng():
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), names)
    assert names["found"].order[0] == "ours"
    assert names["found"].items == ("ours", "base", "other")
    assert "tensor([0.5000])" in capsys.readouterr().out
    assert (tmp_path / "judge.safetensors").exists()
