"""Pairs to ask about, from folders and tables of several kinds."""

import json

import pytest
from scored_tables import pools

from avreward.errors import AvrewardError, UnknownNameError
from avreward.selection import PairRule, candidates_of, export_pairs, make_pairs, read_pairs
from avreward.studies import read_pair_rows


@pytest.fixture
def exported(tmp_path):
    table = pools(tmp_path / "scores.parquet", [[5.0, 3.0, 1.0], [2.0, 4.0, 7.0], [1.0, 2.0], [3.0, 0.0]])
    return make_pairs(candidates_of(table), PairRule("all", test=0.5))


def test_a_folder_holds_both_splits_in_any_format(exported, tmp_path):
    for to in ("datasets", "trl"):
        export_pairs(exported, tmp_path / to, to)
        rows = read_pair_rows(tmp_path / to)
        wanted = [row for split in ("train", "test") for row in read_pairs(tmp_path / to, split).to_pylist()]
        assert len(rows) == len(exported) == len(wanted)
        assert [row.sources for row in rows] == [(one["chosen"], one["rejected"]) for one in wanted]
        assert [row.margin for row in rows] == [one["margin"] for one in wanted]
        assert [row.group for row in rows] == [one["group"] for one in wanted]
        assert [row.rewards for row in rows] == [(one["chosen_reward"], one["rejected_reward"]) for one in wanted]
        assert {row.picked for row in rows} == {0}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_with_a_row_a_comparison(tmp_path, ending):
    import pandas

    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "a.mp4").write_bytes(b"")
    table = pandas.DataFrame({
        "first": ["a.mp4", "c.mp4", "e.mp4"], "second": ["b.mp4", "d.mp4", "f.mp4"],
        "overall": ["first", "Second", "tie"],
        "group": ["x", "x", "y"], "prompt": ["rain", "", "sea"], "margin": [1.5, 0.25, 0.0],
    })  # fmt: skip
    path = tmp_path / "near" / f"pairs.{ending}"
    if ending == "csv":
        table.to_csv(path, index=False)
    elif ending == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    rows = read_pair_rows(path)
    assert [row.picked for row in rows] == [0, 1, None]
    assert [row.margin for row in rows] == [1.5, 0.25, 0.0]
    assert [row.prompt for row in rows] == ["rain", "", "sea"]
    assert rows[0].files[0] == tmp_path / "near" / "a.mp4"


def test_rows_of_video_align_and_columns_that_are_named(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("path_A,path_B,prompt,VQ,MQ\na.mp4,b.mp4,rain,B,A\nc.mp4,d.mp4,sea,same,A\n")
    assert [row.picked for row in read_pair_rows(path, "VQ")] == [1, None]
    with pytest.raises(AvrewardError, match=r"a named column of several, got .* with VQ, MQ; name the column"):
        read_pair_rows(path)
    with pytest.raises(UnknownNameError, match="did you mean 'prompt'"):
        read_pair_rows(path, "promt")
    with pytest.raises(AvrewardError, match="a column of first, second or tie, got prompt, which holds something else"):
        read_pair_rows(path, "prompt")
    path.write_text("chosen,rejected\na.mp4,b.mp4\n")
    assert [row.picked for row in read_pair_rows(path)] == [0]


def test_what_is_no_table_of_pairs(tmp_path):
    (tmp_path / "scores.csv").write_text("clip,reward\na.mp4,1\n")
    (tmp_path / "only.csv").write_text("first,second\na.mp4,b.mp4\n")
    (tmp_path / "broken.jsonl").write_text(json.dumps({"chosen": "a"}) + "\n[1]\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no table")
    (tmp_path / "empty.csv").write_text("first,second,picked\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00" * 9)
    (tmp_path / "folder").mkdir()
    for name, told in {
        "scores.csv": "expected a table with the columns chosen and rejected, or first and second, got .* clip, reward",
        "only.csv": "expected one column that says first, second or tie, got .* first, second",
        "broken.jsonl": "can't be read as a table of pairs .line 2 is not an object",
        "broken.parquet": "can't be read as a table of pairs",
        "binary.csv": "can't be read as a table of pairs",
        "empty.csv": "expected at least one pair, got .*which has none",
        "folder": "expected a folder that avreward pairs wrote, or a table of pairs, got .* which holds no pairs",
        "gone.csv": "which is not there",
    }.items():
        with pytest.raises(AvrewardError, match=told):
            read_pair_rows(tmp_path / name)
    (tmp_path / "pairs.txt").write_text("")
    with pytest.raises(AvrewardError, match=r"a name that ends in \.parquet"):
        read_pair_rows(tmp_path / "pairs.txt")
