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


BROKEN = """
from avreward import ClipRater, term


@term(needs="video")
def zero(clip):
    return 1 / 0


def raises():
    raise RuntimeError("the setup\\nfailed")


class Half(ClipRater):
    name = "half"

    def rate_clip(self, clip):
        return {}
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.py"
    path.write_text(BROKEN)
    return path


@pytest.mark.parametrize("store", [["--no-store"], []])
def test_a_rater_that_fails_on_every_clip_is_one_line(run, files, broken, tmp_path, store) -> None:
    rater = ["--rater", f"{broken}:zero"]
    commands = [["rank", files.loud, files.soft, *rater], ["probe", "zero", files.loud, *rater]]
    for command in [*commands, ["score", files.loud, "--out", tmp_path / "s.jsonl", *store, *rater]]:
        result = run("--quiet", *command)
        assert result.exit_code == 3
        expected = "avreward: zero: failed on every clip (ZeroDivisionError: division by zero); correct it"
        assert result.stderr.startswith(expected), command
        assert result.stderr.count("\n") == 1
    assert "Traceback" in run("--verbose", *commands[0]).stderr


@pytest.mark.parametrize(("name", "why"), [("raises", "RuntimeError: the setup failed"), ("Half", "dimensions")])
def test_a_rater_that_cannot_be_made_is_a_usage_error(run, files, broken, name, why) -> None:
    result = run("rank", files.loud, "--rater", f"{broken}:{name}", environment={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert why in result.stderr
    assert "Traceback" not in result.stderr
