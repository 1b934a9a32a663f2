"""`avreward pairs`: the rule is printed, a folder appears, and bad input is one line."""

import json

import pytest
from scored_tables import varied, write

from avreward.cli._common import NOTHING
from avreward.selection.pairs.export import read_pairs


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return varied(tmp_path_factory.mktemp("pairs") / "scores.parquet", 20, 5)


def test_the_rule_and_the_counts_are_printed(run, table, tmp_path):
    result = run(
        "pairs", table, "--out", tmp_path / "p", "--pairs", "all", "--margin", "0.5", "--sigmas", "2", "--test", "0.2",
        "--dimension", "toy.quality", "--conflicts", "drop",
    )  # fmt: skip
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "Groups: clips that share the prompt."
    assert lines[1] == "Pairs: every two clips of a group, where the reward of one is higher by more than 0.5."
    assert lines[2] == "The difference also exceeds 2 of its standard errors."
    train, test = (read_pairs(tmp_path / "p", split).num_rows for split in ("train", "test"))
    assert lines[-1] == f"{train + test} pairs ({train} for training, {test} for testing) in {tmp_path / 'p'}"
    assert "× worse in toy.quality" in result.stderr


def test_grouping_by_a_column_and_another_reward(run, table, tmp_path):
    result = run("pairs", table, "--out", tmp_path / "p", "--group-by", "seed", "--reward", "toy.sync")
    assert "Groups: clips that share the column seed." in result.stdout
    assert read_pairs(tmp_path / "p").num_rows == 5


def test_matching(run, table, tmp_path):
    options = ("--match", "all", "--match", "loudness=5", "--match", "motion=2")
    result = run("pairs", table, "--out", tmp_path / "p", "--pairs", "all", *options)
    assert "seconds (± 5 %), loudness (± 5 LU), motion (± 200 %), size (± 1 %)" in result.stdout
    assert "loudness alone tells the chosen one in" in result.stdout
    assert "50.0% here" in result.stdout


def test_formats(run, table, tmp_path):
    for name in ("trl", "kto"):
        assert run("pairs", table, "--out", tmp_path / name, "--format", name).exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "trl" / "train.jsonl").read_text().splitlines()]
    assert len(rows) == 20
    options = [option for name in ("VQ", "MQ", "TA") for option in ("--label", f"{name}=toy.quality")]
    assert run("pairs", table, "--out", tmp_path / "va", "--format", "video-align", *options).exit_code == 0


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (("--reward", "speed"), 2, "got 'speed'"),
        (("--margin", "1000"), NOTHING, "got none (20 × a margin of 1000 or less)"),
        (("--group-by", "clip"), NOTHING, "no group has two candidates"),
        (("--group-by", "video"), 2, "score the clips again with --group-by video"),
        (("--margin", "-1"), 2, "avreward: --margin: expected a number of at least 0, got -1"),
        (("--test", "2"), 2, "avreward: --test: expected a share of the groups from 0 to below 1, got 2"),
        (("--match", "colour"), 2, "avreward: --match: expected one of seconds, loudness, motion, size, got 'colour'"),
        (("--format", "av-dpo", "--embed"), 2, "no column for media"),
        (("--format", "tango-flux"), NOTHING, "clips/p0/"),
        (("--match", "loudness=x"), 2, "expected a number, got x"),
        (("--label", "VQ"), 2, "write NAME=COLUMN"),
        (("--format", "avi"), 2, "avi"),
    ],
)
def test_bad_input(run, table, tmp_path, options, code, problem):
    result = run("pairs", table, "--out", tmp_path / "p", *options, environment={"COLUMNS": "200"})
    assert result.exit_code == code
    assert problem in result.stderr
    if code == NOTHING or problem.startswith("avreward"):
        assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_table_without_candidates(run, tmp_path):
    missing = write(tmp_path / "t.parquet", [{"prompt": "a", "reasons": {"clip": "the file is empty"}}])
    result = run("pairs", missing, "--out", tmp_path / "p")
    assert result.exit_code == 2  # another column may have values
    assert "no value in the column reward" in result.stderr
    nothing = run("pairs", tmp_path / "none.parquet", "--out", tmp_path / "p")
    assert nothing.exit_code == NOTHING
    assert "can't be read (No such file or directory)" in nothing.stderr


def test_pairs_without_a_prompt_are_told(run, tmp_path):
    rows = [{"group": "g", "reward": float(i)} for i in range(2)]
    table = write(tmp_path / "t.parquet", rows, group_by="video")
    result = run("pairs", table, "--out", tmp_path / "p", "--format", "trl")
    assert "1 of the pairs have no common prompt" in result.stderr
    assert "no common prompt" not in run("pairs", table, "--out", tmp_path / "q").stderr


def test_rows_that_name_local_files_are_not_pushed(run, table, tmp_path):
    result = run("pairs", table, "--out", tmp_path / "p", "--push-to-hub", "me/pairs")
    assert result.exit_code == 2
    assert "--push-to-hub" in result.stderr
    assert "add --embed or --copy" in result.stderr
    assert not (tmp_path / "p").exists()


def test_paths_as_completions_are_told(run, table, tmp_path):
    for name in ("trl", "kto", "datasets"):
        result = run("pairs", table, "--out", tmp_path / name, "--format", name)
        assert result.stderr.count("--completion COLUMN writes the text that made each clip") == (name != "datasets")


def test_a_page_to_look_at(run, table, tmp_path):
    result = run("pairs", table, "--out", tmp_path / "p", "--report", tmp_path / "page.html")
    assert result.exit_code == 0
    assert "20 preference pairs" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "wrote" in result.stderr
    for wrong in ("page.txt", "page.html/page.html"):
        result = run("pairs", table, "--out", tmp_path / "q", "--report", tmp_path / wrong)
        assert result.exit_code == 2
        assert "--report" in result.stderr
        assert not (tmp_path / "q").exists()
