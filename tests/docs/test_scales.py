"""The examples on the page about scales run as they stand, one after the other."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "scales.md"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    shown = capsys.readouterr().out
    assert "0.5*zscore(signals.audio_quality, state=" in shown
    assert (tmp_path / "mine" / "state.safetensors").is_file()
    assert names["found"].sigma.shape == (2,)
    assert (names["both"](names["clips"]).sigma >= 0).all()
