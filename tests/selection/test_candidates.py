"""Groups in a scored table, and who is left out of them."""

import json
from dataclasses import replace

import pytest
from scored_tables import varied, write

from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring.table_reader import read_table
from avreward.selection.candidates import ODD, candidates_of


def grouped(table, by=None):
    pool = candidates_of(table, group_by=by)
    found = {}
    for row in pool.kept:
        found.setdefault(pool.names[pool.group[row]], []).append(int(row))
    return pool.rule, found


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_the_default_rule_needs_a_prompt_and_not_its_column(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    rows = [{"clip": "a/1.mp4", "prompt": "", "reward": 1}, {"clip": "b/1.mp4", "prompt": None, "reward": 2}]
    table = read_table(write(path, rows, group_by=None))
    table = replace(table, rows=table.rows.drop_columns(["group"]))
    assert grouped(table) == ("the folder of the clip", {"a": [0], "b": [1]})
    rows[0]["prompt"] = "x"
    table = read_table(write(path, rows, group_by=None))
    table = replace(table, rows=table.rows.drop_columns(["group"]))
    assert grouped(table) == ("the prompt", {"x": [0]})


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_rules(tmp_path, ending):
    rows = [
        {"clip": "a/1.mp4", "prompt": "x", "reward": 1, "seed": 3},
        {"clip": "/a/b/2.mp4", "prompt": "y", "reward": 2, "seed": 3},
        {"clip": "3.mp4", "prompt": "x", "reward": 3, "seed": 4},
    ]
    table = read_table(write(tmp_path / f"t.{ending}", rows))
    assert table.metadata["group_by"] == "prompt"
    by_prompt = {"x": [0, 2], "y": [1]}
    assert grouped(table) == ("the prompt", by_prompt)
    assert grouped(table, "prompt")[1] == by_prompt
    assert grouped(table, "parent") == ("the folder of the clip", {"a": [0], "/a/b": [1], ".": [2]})
    assert grouped(table, "stem") == ("the file's name", {"1": [0], "2": [1], "3": [2]})
    assert grouped(table, "seed") == ("the column seed", {"3": [0, 1], "4": [2]})
    with pytest.raises(
        ArgumentError, match=r"group_by: expected .* with groups by prompt; score the clips again with --group-by video"
    ):
        candidates_of(table, group_by="video")
    with pytest.raises(
        AvrewardError, match=r"group_by: expected one of parent, prompt, video, stem, clip.*, got 'nothing'"
    ):
        candidates_of(table, group_by="nothing")


def test_a_table_grouped_by_video(tmp_path):
    rows = [{"clip": f"{i}.mp4", "group": f"key{i // 2}", "reward": i} for i in range(4)]
    table = read_table(write(tmp_path / "t.parquet", rows, group_by="video"))
    assert grouped(table) == grouped(table, "video") == ("the video", {"key0": [0, 1], "key1": [2, 3]})


def test_other_tracks_or_settings_are_left_out(tmp_path):
    silent, sounding = {"width": 64}, {"width": 64, "sample_rate": 16000}
    rows = [
        {"prompt": "a", "reward": 9.0, "fingerprint": "f", **silent},
        {"prompt": "a", "reward": 1.0, "fingerprint": "f", **sounding},
        {"prompt": "a", "reward": 2.0, "fingerprint": "f", **sounding},
        {"prompt": "b", "reward": 1.0, "fingerprint": "f", **silent},
        {"prompt": "b", "reward": 2.0, "fingerprint": "g", **silent},
    ]
    with pytest.warns(UserWarning, match="different settings"):
        pool = candidates_of(read_table(write(tmp_path / "t.parquet", rows)))
    assert pool.group.tolist() == [-1, 0, 0, 1, -1]  # of equally many, the earlier
    assert pool.missing == {ODD: 2}


def test_tables_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(json.dumps({"clip": f"{i}.wav", "group": "g", "mine": i}) for i in range(3)))
    table = read_table(path)
    assert (table.scores, table.metadata) == (("mine",), {})
    pool = candidates_of(table, "mine")
    assert (pool.rule, pool.values.tolist()) == ("the column group", [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("t.parquet", None, "can't be read"),
        ("t.parquet", "not a table", "can't be read"),
        ("t.jsonl", "{broken", "can't be read"),
        ("t.jsonl", '{"reward": 1}\n', "no column clip"),
        ("t.csv", "clip,reward\n", "no rows"),
        ("t.csv", 'clip,reasons\na,"[1]"\n', "can't be read"),
        ("t.txt", "clip,reward\n", r"^path: expected a table that ends in .parquet or .jsonl or .csv, got "),
    ],
)
def test_bad_files(tmp_path, name, content, problem):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(AvrewardError, match=problem) as caught:
        read_table(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_no_rows_no_reward_no_candidates(tmp_path):
    with pytest.raises(AvrewardError, match="no rows"):
        read_table(write(tmp_path / "none.parquet", []))
    plain = read_table(write(tmp_path / "plain.parquet", [{"toy.quality": 1.0, "prompt": "a"}]))
    with pytest.raises(
        AvrewardError,
        match=r"plain\.parquet: expected .*, got no value in the column reward; name .*toy\.quality, toy\.sync",
    ):
        candidates_of(plain)
    with pytest.raises(AvrewardError, match="got 'speed'"):
        candidates_of(plain, "speed")
    with pytest.raises(
        AvrewardError, match=r"plain\.parquet: expected a column of numbers, got 'prompt'; name one of toy\.quality"
    ):
        candidates_of(plain, "prompt")
    with pytest.raises(
        AvrewardError, match=r"expected at least one candidate, got none of 1 rows .*nothing under group"
    ):
        candidates_of(read_table(write(tmp_path / "lost.parquet", [{"reward": 1.0}])))


def test_scores_are_told_from_covariates(tmp_path):
    assert read_table(varied(tmp_path / "t.parquet", 2, 2)).scores == ("toy.quality", "toy.sync")
