"""`--rater FILE.py:NAME`: a rater of the user's own in every command that takes raters."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from avreward.raters import registry

TERMS = '''
from avreward import ClipRater, Dimension, register_rater, term


@term(needs="audio", low=0, high=1)
def power(clip):
    """Mean square of the sound."""
    return clip.sound().square().mean()


@register_rater("picture")
class Picture(ClipRater):
    name, fingerprint = "picture", "picture 1"
    dimensions = (Dimension("bright", 0, 1, frozenset({"video"})),)

    def rate_clip(self, clip):
        return {"bright": clip.video.mean()}
'''


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def terms(tmp_path: Path) -> Path:
    path = tmp_path / "terms.py"
    path.write_text(TERMS)
    return path


def test_rank(run, files, terms) -> None:
    result = run("rank", files.soft, files.loud, "--rater", f"{terms}:power", "--json")
    assert result.exit_code == 0, result.stderr
    assert [Path(row["clip"]).name for row in json.loads(result.stdout)["candidates"]] == ["loud.mp4", "soft.mp4"]


def test_score_with_a_name_and_another_rater(run, files, terms, tmp_path) -> None:
    out = tmp_path / "scores.parquet"
    options = ["--rater", "signals", "--rater", f"mine={terms}:power", "--reward", "-2*mine.power"]
    result = run("score", files.soft, files.silent, "--out", out, *options)
    assert result.exit_code == 1  # the silent clip has no reward
    table = pandas.read_parquet(out)
    assert table["reward"][0] == pytest.approx(-2 * table["mine.power"][0])
    assert "signals.overall" in table
    reasons = {row["dimension"]: row["reason"] for row in table["reasons"][1]}
    assert reasons["mine.power"] == reasons["signals.clipping"]


def test_probe(run, files, terms, tmp_path) -> None:
    result = run("probe", "power", files.loud, files.soft, files.silent, "--rater", f"{terms}:power")
    assert "Reward: power.power; real clips: 2" in result.stdout
    assert "Gradient ascent, 2 clips: +" in result.stdout


def test_raters(run, terms) -> None:
    [told] = json.loads(run("raters", f"{terms}:power", "--json").stdout)
    assert (told["name"], told["needs"]) == ("power", ["audio"])
    assert told["dimensions"][0]["description"] == "Mean square of the sound."


def test_expressions_know_what_the_file_registers(run, files, terms) -> None:
    command = ["rank", files.soft, files.loud, "--rater", f"{terms}:power", "--reward", "power + picture.bright"]
    result = run(*command)
    assert result.exit_code == 0, result.stderr


def test_a_reward_file_says_how_to_pass_the_rater(run, files, terms, tmp_path) -> None:
    reward = tmp_path / "reward.yaml"
    reward.write_text("reward: 2*own.power\nraters: {}\n")
    result = run("rank", files.loud, files.soft, "--reward", reward)
    assert result.exit_code == 2
    assert "--rater own=FILE.py:NAME" in " ".join(result.stderr.split())
    result = run("rank", files.loud, files.soft, "--reward", reward, "--rater", f"own={terms}:power")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("terms.py:powr", "has no powr; did you mean power?"), ("absent.py:power", "no such file")]
)
def test_what_is_not_there(run, files, terms, name: str, said: str) -> None:
    result = run("rank", files.loud, "--rater", terms.parent / name)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
