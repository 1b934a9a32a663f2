"""What `rank` and `score` take as a reward: expressions, files, and raters with names of one's own."""

from __future__ import annotations

import json

import pytest
from pyarrow import parquet
from toy_raters import Toy

from avreward.scoring.table_writer import METADATA_KEY


@pytest.fixture
def toys(monkeypatch) -> dict[str, Toy]:
    """Rater's name → the toy that was loaded for it last; each load makes a new one."""
    made: dict[str, Toy] = {}

    def load(name="signals", **options):
        made[str(name)] = Toy("toy")
        made[str(name)].fingerprint = f"weights of {name}"
        return made[str(name)]

    monkeypatch.setattr("avreward.raters.hub.load_rater", load)
    return made


def test_several_raters_by_names_of_ones_own(run, toys, files):
    expression = "min(a.power, 0.9) - 2*b.brightness*a.power"
    result = run("rank", files.soft, files.loud, "-r", "a=one", "--rater", "b=two", "--reward", expression, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["reward"] == "min(a.power, 0.9) - 2*b.brightness*a.power"
    assert told["raters"] == {"a": "weights of one", "b": "weights of two"}
    scores = told["candidates"][0]["scores"]
    power, brightness = scores["a.power"], scores["b.brightness"]
    assert told["candidates"][0]["reward"] == pytest.approx(min(power, 0.9) - 2 * brightness * power)
    assert sum(toys["one"].calls) == sum(toys["two"].calls) == 2  # each rater saw each clip once


def test_a_reward_in_a_file_brings_its_raters(run, toys, files, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("reward: a.power - 2*b.brightness\nraters: {a: some/model, b: signals}\n")
    result = run("rank", files.soft, files.loud, "--reward", path, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["raters"] == {"a": "weights of some/model", "b": "weights of signals"}
    given = run("rank", files.soft, files.loud, "--reward", path, "--rater", "a=other", "--json")
    assert json.loads(given.stdout)["raters"] == {"a": "weights of other", "b": "weights of signals"}


def test_a_file_of_other_settings_costs_a_line(run, toys, files, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("reward: a.power\nraters: {a: some/model}\nfingerprint: 0123\n")
    result = run("rank", files.loud, "--reward", path)
    assert result.exit_code == 0
    [line] = result.stderr.splitlines()
    assert line.startswith(f"avreward: {path}: its raters or their settings have changed since it was saved")


def test_the_table_has_the_columns_of_all_raters(run, toys, files, tmp_path):
    out = tmp_path / "scores.parquet"
    result = run("score", files.loud, "-r", "a=one", "-r", "b=two", "--reward", "2*b.power", "--out", out)
    assert result.exit_code == 0, result.stderr
    table = parquet.read_table(out)
    [row] = table.to_pylist()
    assert [name for name in table.column_names if "." in name] == [
        "a.power", "a.brightness", "a.overall", "a.peak", "b.power", "b.brightness", "b.overall", "b.peak",
    ]  # fmt: skip
    assert row["a.power"] == row["b.power"] is not None
    assert row["reward"] == pytest.approx(2 * row["b.power"])
    metadata = json.loads(table.schema.metadata[METADATA_KEY])
    assert metadata["raters"] == {"a": "weights of one", "b": "weights of two"}
    assert metadata["reward"] == "2*b.power"


def test_a_table_without_a_reward(run, toys, files, tmp_path):
    out = tmp_path / "scores.parquet"
    assert run("score", files.loud, "-r", "a=one", "-r", "b=two", "--out", out).exit_code == 0
    [row] = parquet.read_table(out).to_pylist()
    assert row["reward"] is None
    assert row["fingerprint"] == "weights of one+weights of two"
    assert row["a.power"] == row["b.power"] is not None


def test_the_raters_of_a_file_are_the_table_s(run, toys, files, tmp_path):
    path, out = tmp_path / "mine.yaml", tmp_path / "scores.parquet"
    path.write_text("reward: a.power\nraters: {a: some/model}\n")
    assert run("score", files.loud, "--reward", path, "--out", out).exit_code == 0
    names = parquet.read_table(out).column_names
    assert [name for name in names if "." in name] == ["a.power", "a.brightness", "a.overall", "a.peak"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-r", "one", "-r", "two"), "two raters are called toy; name one of them yourself, as in toy2=two"),
        (("-r", "a=one", "-r", "b=two"), "there are several raters; say what counts, such as a.overall + b.overall"),
        (("-r", "a=one", "-r", "b=two", "--reward", "power"), "write a.power or b.power"),
        (("--reward", "softmn(power)"), "did you mean softmin"),
        (("--reward", "nowhere.yaml"), "nowhere.yaml: file not found"),
        (("--reward", "bad.yaml"), "bad.yaml: key: expected one of reward, raters, fingerprint, got 'colour'"),
    ],
)
def test_wrong_calls(run, toys, files, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("reward: power\ncolour: 1\n")
    result = run("rank", files.loud, *arguments, environment={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert said in result.stderr
    assert not result.stdout


def test_a_folder_may_have_an_equals_sign(run, toys, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "step=100").mkdir()
    assert run("rank", files.loud, "--rater", "step=100").exit_code == 0
    assert run("rank", files.loud, "--rater", "./other=100").exit_code == 0
    assert list(toys) == ["step=100", "./other=100"]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("probe", "overall", "CLIP", "--against", "overal"), "--against"),
        (("probe", "overal", "CLIP"), "REWARD"),
        (("score", "CLIP", "--reward", "overal", "--out", "x.jsonl"), "--reward"),
        (("rank", "CLIP", "--reward", "./nothere"), "--reward: ./nothere: file or folder not found"),
        (("raters", "nowhere"), "NAMES"),
        (("rank", "CLIP", "--rater", "nowhere"), "--rater"),
    ],
)
def test_the_option_at_fault_is_named(run, files, arguments, where):
    result = run(*(files.loud if a == "CLIP" else a for a in arguments))
    assert result.exit_code == 2
    assert f"Invalid value for {where}" in " ".join(result.stderr.replace("│", "").split())
