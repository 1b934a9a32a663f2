"""The examples on the pages about best-of-N and search run as they stand, one after the other."""

import re
from pathlib import Path

import pytest

from avreward.selection.search.strategies import STRATEGIES

DOCS = Path(__file__).parents[2] / "docs"


def run(name, tmp_path, monkeypatch):
    page = DOCS / "guides" / name
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(page), "exec"), names)
    return names


def test_best_of_n(tmp_path, monkeypatch, capsys):
    names = run("best_of_n.md", tmp_path, monkeypatch)
    assert (tmp_path / "best.mp4").is_file()
    assert (tmp_path / "scores.parquet").is_file()
    assert len(list((tmp_path / "rain").glob("*.mkv"))) == 2
    assert names["dubs"].best.keys["video"] == names["silent"].keys["video"]
    assert names["found"].seeds == [0, 1]
    assert "Cost(steps=32, decodes=8, rewards=8" in capsys.readouterr().out


def test_search(tmp_path, monkeypatch, capsys):
    names = run("search.md", tmp_path, monkeypatch)
    shown = capsys.readouterr().out
    assert all(strategy in shown for strategy in STRATEGIES)
    assert len(names["found"].clips) == 8


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_listed(strategy):
    assert f"| `{strategy}` |" in (DOCS / "guides" / "search.md").read_text(encoding="utf-8")
