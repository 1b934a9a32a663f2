import pytest

from avreward.errors import ArgumentError
from avreward.scoring import list_clips, read_table
from avreward.scoring._column_kinds import kind_of
from avreward.scoring._score_table import check_seeds, other_columns, other_values, seed_of


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-20", "0"], "int64"),
        (["9223372036854775807"], "int64"),
        (["9223372036854775808"], "string"),
        (["12345678901234567891", "1.5"], "string"),
        (["1", "2.50", ".5", "1e-05", "nan"], "double"),
        (["3.2e5", "1.000000000000000000e+00"], "double"),
        (["1e5"], "string"),
        (["007"], "string"),
        (["1.1", "1.10"], "string"),
        (["1_000"], "string"),
        (["²"], "string"),
        (["wan", "1"], "string"),
        ([], "string"),
    ],
)
def test_numbers_only_where_nothing_is_lost(texts, kind):
    assert kind_of(texts) == kind


def test_ids_of_a_manifest_stay_as_written(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("clip,id,system,lr,mos,seed\na.mp4,12345678901234567890,1,1e5,3.10,7\n"
                    "b.mp4,12345678901234567891,2,1e-5,2.5,\n")  # fmt: skip
    clips = list_clips(path)
    others = other_columns(clips, [])
    assert others == {"id": "string", "system": "int64", "lr": "string", "mos": "double"}
    assert other_values(clips[0], others) == {"id": "12345678901234567890", "system": 1, "lr": "1e5", "mos": 3.1}
    assert [seed_of(clip) for clip in clips] == [7, None]


def test_a_table_in_csv_keeps_names(tmp_path):
    path = tmp_path / "t.csv"
    rows = "a.mp4,12345678901234567890,1,1e5,9007199254740993,50\nb.mp4,12345678901234567891,2,2e5,,\n"
    path.write_text(f"clip,id,system,lr,seed,toy.quality\n{rows}")
    table = read_table(path)
    assert table.column("id").to_pylist() == ["12345678901234567890", "12345678901234567891"]
    assert table.column("system").to_pylist() == [1, 2]
    assert table.column("lr").to_pylist() == ["1e5", "2e5"]
    assert table.column("seed").to_pylist() == [9007199254740993, None]
    assert table.column("toy.quality").to_pylist() == [50.0, None]
    for ending in ("parquet", "jsonl", "csv"):
        again = read_table(table.save(tmp_path / f"again.{ending}"))
        assert all(again.column(name).to_pylist() == table.column(name).to_pylist() for name in table.rows.column_names)


@pytest.mark.parametrize("seed", ["99999999999999999999", "first", "1.5"])
def test_a_seed_that_does_not_fit_is_refused(tmp_path, seed):
    (tmp_path / "list.csv").write_text(f"clip,seed\na.mp4,{seed}\n")
    with pytest.raises(ArgumentError, match=r"seed of a.mp4: expected an integer that fits in 64 bits, got '.*'; corr"):
        check_seeds(list_clips(tmp_path / "list.csv"))
