"""The examples of docs/pairs.md and docs/statistics.md run, one after another, the commands too."""

import glob
import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from avreward import Clip
from avreward.cli.main import app
from avreward.selection.pairs.export import read_pairs

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def dubs(tmp_path_factory):
    """Three videos with four dubs each: clicks that are more or less where something moves, and more or less noise."""
    folder = tmp_path_factory.mktemp("page")
    generator = torch.Generator().manual_seed(0)
    for video in "abc":
        (folder / "dubs" / video).mkdir(parents=True)
        frames = torch.rand(12, 3, 48, 64, generator=generator)
        for number in range(4):
            noise = 0.02 * (number + 1) * (torch.rand(1, 12000, generator=generator) - 0.5)
            tone = 0.3 * torch.sin(torch.arange(12000) * 0.2 * (number + 1))[None]
            Clip(video=frames, fps=8, audio=tone + noise, sample_rate=8000).save(
                folder / "dubs" / video / f"{number}.mp4"
            )
    return folder


def run_page(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict = {}
    page = (DOCS / "guides" / name).read_text(encoding="utf-8")
    for language, block in re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            exec(compile(block, name, "exec"), names)
            continue
        for line in block.splitlines():
            words = [path for word in shlex.split(line) for path in (sorted(glob.glob(word)) or [word])]
            assert words[0] == "avreward"
            result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
            assert result.exit_code == 0, f"{line}: {result.stderr}"
    return names


def test_pairs_page(dubs, monkeypatch, capsys):
    run_page("pairs.md", dubs, monkeypatch)
    assert read_pairs("pairs").num_rows == 3
    assert (dubs / "dpo" / "train.jsonl").exists()
    assert read_pairs("even", "test").num_rows + read_pairs("even").num_rows > 0
    assert len(list((dubs / "mine" / "sounds").iterdir())) >= 2


def test_statistics_page(dubs, monkeypatch, capsys):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        names = run_page("statistics.md", dubs, monkeypatch)
    assert len(names["pool"].kept) == 12
    assert (dubs / "curve.html").exists()
    assert names["last"].k == 4
    assert names["agreed"].with_ties == 0.8
    printed = capsys.readouterr().out
    assert "round_robin (" in printed
    assert " 5\n" in printed


def test_every_format_and_option_is_on_the_page():
    from avreward.selection.pairs.export import NAMES
    from avreward.selection.pairs.matching import TOLERANCES

    text = (DOCS / "guides" / "pairs.md").read_text(encoding="utf-8")
    assert [name for name in (*NAMES, *TOLERANCES) if f"`{name}`" not in text and f"--format {name}" not in text] == []
