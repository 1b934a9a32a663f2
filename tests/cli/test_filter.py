"""`avreward filter`: of a table and of clips, as a manifest and as a folder."""

import json

from avreward.scoring import read_table


def test_clips_are_scored_and_filtered(run, toy, files, tmp_path):
    out = tmp_path / "kept.csv"
    result = run("filter", files.loud, files.soft, "--keep", "power > 0.1", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "1 of 2 clips kept" in result.stdout
    assert "dropped: 1 × not power > 0.1" in result.stdout
    assert read_table(out).column("clip").to_pylist() == [str(files.loud)]
    assert read_table(tmp_path / "kept.dropped.csv").column("dropped").to_pylist() == ["not power > 0.1"]


def test_a_table_and_a_folder(run, toy, files, tmp_path):
    table, out = tmp_path / "t.csv", tmp_path / "kept"
    clips = (files.loud, files.soft, files.silent)
    assert run("score", *clips, "--out", table).exit_code == 0
    toy.calls.clear()
    result = run("filter", table, "--top", "1", "--per", "group", "--reward", "-power", "--out", out, "--json")
    assert result.exit_code == 1  # of the silent clip it is not known
    told = json.loads(result.stdout)
    assert told["kept"] == [str(files.soft)]
    assert told["dropped"][0]["reason"] == "not in the top 1 of its group by group"
    assert (out / "soft.mp4").read_bytes() == files.soft.read_bytes()
    assert not toy.calls


def test_wrong_use(run, toy, files, tmp_path):
    for arguments, says in {
        ("--keep", "powr > 1"): "did you mean 'toy.power'",
        (): "--keep: expected a condition",
        ("--top", "x"): "--top: expected a number of clips",
        ("--keep", "power > 0", "--per", "group"): "--per: expected no groups",
    }.items():
        result = run("filter", files.loud, *arguments, "--out", tmp_path / "kept.csv")
        assert result.exit_code == 2
        assert says in result.stderr
    nothing = run("filter", files.loud, "--keep", "power > 9", "--out", tmp_path / "kept.csv")
    assert nothing.exit_code == 3
    assert "nothing is kept of 1 clips (1 × not power > 9)" in nothing.stderr
