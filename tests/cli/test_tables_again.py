"""Commands on a scored table rate nothing, also by another reward; clips are scored first."""

import json

import pytest
from pyarrow import parquet

from avreward.scoring import read_table


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


def test_no_input_is_overwritten(run, toy, table, tmp_path):
    text = table.read_bytes()
    other = table.with_name(f"{table.stem}.dropped{table.suffix}")
    other.write_bytes(text)
    for command in (
        ("filter", table, "--top", "1", "--out", table),
        ("filter", other, "--top", "1", "--out", table),
        ("score", table, "--reward", "toy.power", "--out", table),
        ("rank", table, "--table", table),
    ):
        result = run(*command)
        assert result.exit_code == 2
        assert "is one of the inputs" in " ".join(result.stderr.replace("│", " ").split())
    assert table.read_bytes() == other.read_bytes() == text


def test_wrong_lists_are_said_in_the_words_of_manifests(run, toy, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("File,prompt\na.mp4,x\n")
    for command in (
        ("rank",),
        ("pairs", "--out", tmp_path / "p"),
        ("compare",),
        ("score", "--out", tmp_path / "t.csv"),
    ):
        result = run(command[0], path, *command[1:])
        assert result.exit_code == 2
        assert "write File in small letters: file" in " ".join(result.stderr.split())


def test_clips_that_all_fail_cost_one_clear_line(run, toy, tmp_path):
    for name in ("pairs", "filter"):
        more = ("--top", "1") if name == "filter" else ()
        result = run(name, tmp_path / "no.mp4", "--out", tmp_path / "out", *more)
        assert result.exit_code == 3
        assert "none of 1 clip could be scored" in result.stderr


@pytest.mark.parametrize("expression", ["power +", "power + nope", "nope", "nope(power)", "power ** 2"])
def test_a_wrong_reward_of_a_table_is_a_usage_error_of_every_command(run, toy, table, tmp_path, expression):
    out = ("--out", tmp_path / "x.csv")
    for command, *more in (("pairs", *out), ("curve",), ("rank",), ("score", *out), ("filter", "--top", "1", *out)):
        result = run(command, table, "--reward", expression, *more)
        assert result.exit_code == 2, (command, result.stderr)
        assert not result.stdout


def test_a_store_and_none(run, toy, table, tmp_path):
    for command in (("rank", table), ("score", table, "--reward", "toy.power", "--out", tmp_path / "x.csv")):
        result = run(*command, "--store", tmp_path / "s", "--no-store")
        assert result.exit_code == 2
        assert "leave one of the two out" in " ".join(result.stderr.split())


def test_a_pattern_of_lists(run, toy, dubs, tmp_path):
    from avreward.scoring import list_clips

    for i, one in enumerate(list_clips(dubs)[:2]):
        (tmp_path / f"l{i}.csv").write_text(f"clip\n{one.path}\n")
    assert run("rank", tmp_path / "l*.csv").exit_code == 0
