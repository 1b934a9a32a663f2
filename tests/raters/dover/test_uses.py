"""A saved DOVER in commands, expressions, best-of-N and TRL."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers")

import torch
from tiny.dover import VIEWS, tiny_dover, write_tiny_dover
from typer.testing import CliRunner

from avreward import Clip, load_rater
from avreward.cli.main import app
from avreward.integrations.trl import trl_reward
from avreward.selection import BestOfN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_dover().save_pretrained(tmp_path_factory.mktemp("dover") / "rater")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    place = tmp_path_factory.mktemp("clips")
    for i in range(3):
        video = torch.rand(8, 3, 32, 48, generator=torch.Generator().manual_seed(i)) * (0.3 + 0.3 * i)
        Clip(video=video, fps=8).save(place / f"{i}.mkv")
    return sorted(place.glob("*.mkv"))


def run(*arguments: object):
    """Run a command."""
    runner = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"})
    return runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@torch.no_grad()
def test_score_rank_and_verify(folder, files, tmp_path) -> None:
    out = tmp_path / "scores.jsonl"
    result = run("score", *files, "--rater", folder, "--out", out, "--no-store")
    assert result.exit_code == 0, result.stderr
    expected = load_rater(folder)([Clip.open(path) for path in files])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["dover.overall"] for row in rows] == pytest.approx(expected["overall"].tolist(), rel=1e-4)
    result = run("rank", *files, "--rater", folder, "--reward", "technical", "--json")
    assert result.exit_code == 0, result.stderr
    order = [files[i].name for i in expected["technical"].argsort(descending=True).tolist()]
    found = [one["clip"].rpartition("/")[2] for one in json.loads(result.stdout)["candidates"]]
    assert found == order
    table = tmp_path / "known.csv"
    lines = [f"{path.stem},{float(value)}" for path, value in zip(files, expected["overall"], strict=True)]
    table.write_text("\n".join(["clip,overall", *lines]) + "\n")
    result = run("verify", folder, *files, "--expected", table)
    assert result.exit_code == 0, result.stderr


def test_probe_and_convert(folder, files, tmp_path) -> None:
    result = run("probe", "overall", *files, "--rater", folder, "--out", tmp_path / "card.html")
    assert result.exit_code == 0, result.stderr
    assert "Reward: dover.overall; real clips: 3" in result.stdout
    result = run("convert", write_tiny_dover(tmp_path / "published"), tmp_path / "ours")
    assert result.exit_code == 0, result.stderr
    assert load_rater(tmp_path / "ours").fingerprint == load_rater(tmp_path / "published").fingerprint


def test_an_expression_best_of_n_and_trl(folder, files) -> None:
    rater = load_rater(folder)
    assert rater.views == VIEWS
    reward = 0.5 * rater["technical"] + rater["aesthetic"]
    clips = [Clip.open(path) for path in files]
    with torch.no_grad():
        values = reward(clips)
        found = BestOfN(lambda condition, seed: clips[seed], reward, n=3)(Clip(prompt="anything"))
    assert found.best_index == int(values.argmax())
    function = trl_reward(reward, render=lambda text, **_: clips[int(text)])
    with pytest.warns(UserWarning, match="no term compares a clip with its prompt"):
        numbers = function(prompts=["a"] * 3, completions=["0", "1", "2"], completion_ids=[[1]] * 3, trainer_state=None)
    assert numbers == pytest.approx(values.tolist(), rel=1e-5)
