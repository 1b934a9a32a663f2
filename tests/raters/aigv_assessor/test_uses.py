"""A saved AIGV-Assessor in commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

import json

import pytest
import torch
from assessor_folders import write_original
from tiny.assessor import tiny_assessor
from typer.testing import CliRunner

from avreward import Clip, load_rater
from avreward.cli.main import app
from avreward.integrations.trl import trl_reward
from avreward.raters import EnsembleRater
from avreward.selection import BestOfN

NAME = "aigv_assessor.static_quality"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_assessor().save_pretrained(tmp_path_factory.mktemp("assessor") / "rater")


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
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("\n".join(["clip,prompt", *(f"{path},a cat" for path in files)]) + "\n")
    result = run("score", *files, "--rater", folder, "--out", out, "--no-store", "--prompts", prompts)
    assert result.exit_code == 0, result.stderr
    expected = load_rater(folder)([Clip.open(path, prompt="a cat") for path in files])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    for name in ("static_quality", "tv_correspondence"):
        found = [row[f"aigv_assessor.{name}"] for row in rows]
        assert found == pytest.approx(expected[name].tolist(), rel=1e-4)
    result = run("rank", *files, "--rater", folder, "--reward", "static_quality", "--json")
    assert result.exit_code == 0, result.stderr
    order = [files[i].name for i in expected["static_quality"].argsort(descending=True).tolist()]
    assert [one["clip"].rpartition("/")[2] for one in json.loads(result.stdout)["candidates"]] == order
    table = tmp_path / "known.csv"
    lines = [f"{path.stem},{float(value)}" for path, value in zip(files, expected["static_quality"], strict=True)]
    table.write_text("\n".join(["clip,static_quality", *lines]) + "\n")
    result = run("verify", folder, *files, "--expected", table)
    assert result.exit_code == 0, result.stderr


def test_probe_and_convert(folder, files, tmp_path) -> None:
    result = run("probe", "static_quality", *files[:2], "--rater", folder, "--out", tmp_path / "card.html")
    assert result.exit_code == 0, result.stderr
    assert f"Reward: {NAME}; real clips: 2" in result.stdout
    result = run("convert", write_original(tmp_path / "published"), tmp_path / "ours")
    assert result.exit_code == 0, result.stderr
    assert load_rater(tmp_path / "ours").fingerprint == load_rater(tmp_path / "published").fingerprint


def test_expressions_ensembles_best_of_n_and_trl(folder, files) -> None:
    rater = load_rater(folder)
    reward = 0.5 * rater["static_quality"] + rater["dynamic_degree_level"]
    clips = [Clip.open(path) for path in files]
    with torch.no_grad():
        values = reward(clips)
        found = BestOfN(lambda condition, seed: clips[seed], reward, n=3)(Clip(prompt="anything"))
        other = tiny_assessor(template="chatml")
        both = EnsembleRater([rater, other])(clips)["static_quality"]
        mean = (rater(clips)["static_quality"] + other(clips)["static_quality"]) / 2
        torch.testing.assert_close(both, mean, rtol=1e-5, atol=1e-6)
    assert found.best_index == int(values.argmax())
    function = trl_reward(reward, render=lambda text, **_: clips[int(text)])
    numbers = function(prompts=["a"] * 3, completions=["0", "1", "2"], completion_ids=[[1]] * 3, trainer_state=None)
    assert numbers == pytest.approx(values.tolist(), rel=1e-4)
