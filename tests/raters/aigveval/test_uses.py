"""A saved AIGVEval in commands, expressions, ensembles, best-of-N and TRL."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("transformers")

import torch
from tiny.aigveval import tiny_aigveval, write_tiny_aigveval
from typer.testing import CliRunner

from avreward import Clip, load_rater
from avreward.cli.main import app
from avreward.integrations.trl import trl_reward
from avreward.raters import EnsembleRater
from avreward.selection import BestOfN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_aigveval().save_pretrained(tmp_path_factory.mktemp("aigveval") / "rater")


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
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


@torch.no_grad()
def test_score_rank_and_verify(folder, files, tmp_path) -> None:
    out = tmp_path / "scores.jsonl"
    run("score", *files, "--rater", folder, "--out", out, "--no-store")
    expected = load_rater(folder)([Clip.open(path) for path in files])["quality"].tolist()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["aigveval.quality"] for row in rows] == pytest.approx(expected, rel=1e-4)
    ranked = json.loads(run("rank", *files, "--rater", folder, "--reward", "quality", "--json").stdout)["candidates"]
    assert ranked[0]["clip"] == str(files[expected.index(max(expected))])
    table = tmp_path / "known.csv"
    lines = [f"{path.stem},{value}" for path, value in zip(files, expected, strict=True)]
    table.write_text("\n".join(["clip,quality", *lines]) + "\n")
    run("verify", folder, *files, "--expected", table)


def test_probe(folder, files) -> None:
    assert "Reward: aigveval.quality; real clips: 3" in run("probe", "quality", *files, "--rater", folder).stdout


@torch.no_grad()
def test_convert(tmp_path) -> None:
    run("convert", write_tiny_aigveval(tmp_path / "published"), tmp_path / "ours")
    ours, published = load_rater(tmp_path / "ours"), load_rater(tmp_path / "published")
    assert ours.fingerprint == published.fingerprint
    assert ours.inverted
    one = [Clip(video=torch.rand(4, 3, 20, 30), fps=8)]
    torch.testing.assert_close(ours(one).values, published(one).values)


@torch.no_grad()
def test_an_expression_an_ensemble_best_of_n_and_trl(folder, files) -> None:
    rater, clips = load_rater(folder), [Clip.open(path) for path in files]
    reward = 0.5 * rater["quality"] + load_rater("signals")["static_quality"]
    values = reward(clips)
    found = BestOfN(lambda condition, seed: clips[seed], reward, n=3)(Clip(prompt="anything"))
    assert found.best_index == int(values.argmax())
    function = trl_reward(reward, render=lambda text, **_: clips[int(text)])
    with pytest.warns(UserWarning, match="no term compares a clip with its prompt"):
        numbers = function(prompts=["a"] * 3, completions=["0", "1", "2"], completion_ids=[[1]] * 3, trainer_state=None)
    assert numbers == pytest.approx(values.tolist(), rel=1e-5)
    members = EnsembleRater([rater, tiny_aigveval(temperature=2.0)])
    assert members(clips).present.all()
