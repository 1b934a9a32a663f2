"""The examples of docs/probes.md run, one after another."""

import re
from pathlib import Path

import torch

from avreward.audit.inputs import PROBES

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "probes.md"


def test_the_examples_run(capsys):
    names = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "loud noise" in names["probed"].beaten_by
    assert "20th rollout" in printed
    assert 100 < names["step"] < 199
    assert names["monitor"].state.diverged
    assert names["callback"].monitor.window == 50


def test_what_the_page_promises_is_there():
    text = PAGE.read_text(encoding="utf-8")
    assert (PAGE.parents[1] / "cards" / "signals.html").exists() == ("../cards/signals.html" in text)
    assert (PAGE.parents[1] / "cards" / "signals.json").stat().st_size < 300_000
    assert (PAGE.parents[1] / "cards" / "signals.html").stat().st_size < 300_000
    assert len(PROBES) >= 20
