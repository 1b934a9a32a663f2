"""Commands on a scored table rate nothing, also by another reward; clips are scored first."""

import json
import shutil

import pytest
from pyarrow import parquet

from avreward.scoring import read_table


@pytest.fixture
def dubs(files, tmp_path):
    folder = tmp_path / "dubs"
    for name, source in {
        "drum/1.mp4": files.soft, "drum/2.mp4": files.loud, "rain/1.mp4": files.loud, "rain/2.mp4": files.soft,
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture(params=["csv", "parquet"])
def table(run, toy, dubs, tmp_path, request):
    """The scores of clips that are gone, by a rater that must not be asked again."""
    path = tmp_path / f"scores.{request.param}"
    assert run("score", dubs, "--out", path, "--reward", "overall").exit_code == 0
    dubs.rename(tmp_path / "elsewhere")
    toy.calls.clear()
    toy.loads.clear()
    return path


def bests(result):
    assert result.exit_code == 0, result.stderr
    return [one["best"].rpartition("dubs/")[2] for one in json.loads(result.stdout)["groups"]]


def test_a_table_is_ranked_by_any_reward(run, toy, table, tmp_path):
    assert bests(run("rank", table, "--group-by", "parent", "--json")) == ["drum/2.mp4", "rain/1.mp4"]
    told = run("rank", table, "--group-by", "group", "--reward", "-power", "--json")
    assert bests(told) == ["drum/1.mp4", "rain/2.mp4"]
    assert json.loads(told.stdout)["reward"] == "-toy.power"
    plain = run("rank", table, "--reward", "0.5*power", "--table", tmp_path / "again.csv")
    assert "these clips are of 2 groups; --group-by group" in plain.stderr
    again = read_table(tmp_path / "again.csv")
    before = read_table(table)
    assert again.numbers("reward").tolist() == pytest.approx((0.5 * before.numbers("toy.power")).tolist())
    assert again.numbers("width").tolist() == before.numbers("width").tolist()
    assert sorted(again.numbers("rank")) == [1, 2, 3, 4]
    assert not toy.calls
    assert not toy.loads


def test_a_table_is_scored_by_another_reward(run, toy, table, tmp_path):
    out = tmp_path / "again.jsonl"
    result = run("score", table, "--reward", "power*2", "--out", out)
    assert result.exit_code == 0
    assert "nothing was rated" in result.stderr
    found = read_table(out)
    assert found.metadata["reward"] == "2*toy.power"
    assert found.numbers("reward").tolist() == pytest.approx((2 * found.numbers("toy.power")).tolist())
    assert found.metadata["group_by"] == "parent"
    wrong = run("score", table, "--reward", "powr", "--out", out)
    assert wrong.exit_code != 0
    assert "did you mean toy.power" in wrong.stderr
    assert not toy.calls


def test_pairs_and_curves_of_an_expression(run, toy, table, tmp_path):
    told = json.loads(run("curve", table, "--reward", "-power", "--json").stdout)
    assert told["candidates"] == 4
    assert run("pairs", table, "--reward", "-power", "--out", tmp_path / "pairs").exit_code == 0
    [found] = (tmp_path / "pairs" / "data").iterdir()
    assert {path.rpartition("dubs/")[2] for path in parquet.read_table(found)["chosen"].to_pylist()} == {
        "drum/1.mp4"  # the other group has the same two clips
    }
    assert not toy.calls


def test_pairs_and_curves_of_clips(run, toy, dubs, tmp_path):
    told = json.loads(run("curve", dubs, "--reward", "power", "--json").stdout)
    assert (told["prompts"], told["candidates"], told["table"]) == (2, 4, str(dubs))
    toy.calls.clear()
    assert run("pairs", f"{dubs}/*/*.mp4", "--out", tmp_path / "pairs", "--group-by", "stem").exit_code == 0
    assert not toy.calls  # the store knows them


def test_a_manifest_is_no_scored_table(run, toy, dubs, tmp_path):
    manifest = tmp_path / "list.csv"
    manifest.write_text("file,system\n" + "".join(f"{dubs}/drum/{i}.mp4,s{i}\n" for i in (1, 2)))
    assert json.loads(run("rank", manifest, "--json").stdout)["best"].endswith("2.mp4")
    assert toy.calls
    assert json.loads(run("curve", manifest, "--json").stdout)["candidates"] == 2
