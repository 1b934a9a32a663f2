"""The examples of docs/trl.md run."""

from __future__ import annotations

import re
from pathlib import Path


def test_examples(capsys) -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "trl.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["signals.audio_quality", "0.1"], ["signals.clipping", "-2.0"]]
    assert len(lines) == 5
