"""Conditions on tables, the best of each group, what is dropped and why, and what is written."""

import json

import pytest
import torch
from scored_tables import write

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring import list_clips, read_table
from avreward.selection import filter_table

ROWS = [
    {"clip": "a/0.mp4", "prompt": "a", "reward": 5, "toy.quality": 50, "toy.sync": 1},
    {"clip": "a/1.mp4", "prompt": "a", "reward": 4, "toy.quality": 70, "toy.sync": 3},
    {"clip": "b/0.mp4", "prompt": "b", "reward": 3, "toy.quality": 90, "toy.sync": None},
    {"clip": "b/1.mp4", "prompt": "b", "reward": 2, "toy.quality": None, "toy.sync": 9},
    {"clip": "b/2.mp4", "prompt": None, "reward": None, "toy.quality": 10, "toy.sync": 2},
]


@pytest.fixture
def table(tmp_path):
    return read_table(write(tmp_path / "t.parquet", ROWS))


def kept(table, *conditions, **options):
    found = filter_table(table, conditions, **options)
    return [clip.removesuffix(".mp4") for clip in found.kept.column("clip").to_pylist()]


@pytest.mark.parametrize(
    ("condition", "clips"),
    [
        ("quality > 60", ["a/1", "b/0"]),
        ("toy.quality >= 50 and toy.quality < 90", ["a/0", "a/1"]),
        ("60 < quality <= 90", ["a/1", "b/0"]),
        ("quality > 80 or sync > 2", ["a/1", "b/0", "b/1"]),  # true, though the other side is missing
        ("not quality > 60", ["a/0", "b/2"]),  # missing stays missing
        ("quality/10 - sync > 3.9", ["a/0", "a/1"]),
        ("-sync < -2", ["a/1", "b/1"]),
        ("prompt == 'a'", ["a/0", "a/1"]),
        ("prompt != 'a'", ["b/0", "b/1"]),
        ("prompt in ['b', 'c'] and reward > 2", ["b/0"]),
        ("prompt not in ('b', 'c')", ["a/0", "a/1"]),
        ("1 / (reward - 2) < 1", ["a/0", "a/1"]),  # a quotient by 0 is missing
    ],
)
def test_conditions(table, condition, clips):
    assert kept(table, condition) == clips


def test_why_a_row_is_dropped(table):
    found = filter_table(table, ["quality > 60", "sync > 2 and reward > 0"])
    assert found.why == [
        "not quality > 60",
        None,
        "no value for sync > 2",
        "no value for quality > 60",
        "not quality > 60",
    ]
    assert found.undecided.tolist() == [False, False, True, True, False]
    assert next(iter(found.reasons.items())) == ("not quality > 60", 2)
    assert found.dropped.column("dropped").to_pylist() == [why for why in found.why if why]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("qualty > 60", "did you mean 'toy.quality'"),
        ("quality", "expected a comparison, got 'quality'"),
        ("quality >", "expected a condition, got 'quality >'"),
        ("__import__('os').system('true') == 0", "expected a column, a number or a text"),
        ("quality.__class__ == 1", "expected one of"),
        ("prompt > 3", "two numbers or two texts"),
        ("prompt < 'b'", "numbers to compare by < or >"),
        ("prompt + 1 > 2", "expected a number"),
        ("quality is None", "a comparison by <"),
        ("quality in 3", "a list, such as"),
        ("(" * 300 + "quality > 1" + ")" * 300, "keep: expected"),
        ("not " * 3000 + "quality > 1", "up to 5000 characters"),
    ],
)
def test_wrong_conditions(table, condition, says):
    with pytest.raises(ArgumentError, match=says.replace("(", r"\(")):
        filter_table(table, condition)


def test_the_best(table):
    assert kept(table, top=2) == ["a/0", "a/1"]
    assert kept(table, top=1, per="prompt") == ["a/0", "b/0"]
    assert kept(table, top="50%", per="parent") == ["a/0", "b/0"]
    assert kept(table, top="100%") == ["a/0", "a/1", "b/0", "b/1"]
    assert kept(table, "reward < 5", top="1%", per="prompt") == ["a/1", "b/0"]
    assert kept(table, top=1, reward="-quality") == ["b/2"]
    found = filter_table(table, top=1, per="prompt")
    assert found.why[1] == "not in the top 1 of its group by prompt"
    assert found.why[4] == "no reward"
    for top in (0, "0%", "101%", "many", 1.5, True):
        with pytest.raises(ArgumentError, match="top: expected a number of clips, or a share"):
            filter_table(table, top=top)
    with pytest.raises(ArgumentError, match="keep: expected a condition"):
        filter_table(table)
    with pytest.raises(ArgumentError, match="per: expected no groups without top"):
        filter_table(table, "quality > 1", per="prompt")


def test_a_share_of_many(tmp_path):
    table = read_table(write(tmp_path / "t.parquet", [{"prompt": "a", "reward": float(i)} for i in range(1000)]))
    assert [len(kept(table, top=f"{percent}%")) for percent in (20, 33.3, 100)] == [200, 333, 1000]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_manifest_and_what_was_dropped(table, tmp_path, ending):
    out = tmp_path / f"kept.{ending}"
    assert filter_table(table, "quality > 60").save(out) == out
    assert [str(one.path) for one in list_clips(out)] == ["a/1.mp4", "b/0.mp4"]
    assert read_table(out).metadata == table.metadata
    dropped = read_table(tmp_path / f"kept.dropped.{ending}")
    assert dropped.column("dropped").to_pylist()[1] == "no value for quality > 60"
    filter_table(table, "reward > 1 or quality > 1").save(out)
    assert not (tmp_path / f"kept.dropped.{ending}").exists()
    with pytest.raises(AvrewardError, match=r"nothing is kept of 5 clips \(4 × not quality > 100"):
        filter_table(table, "quality > 100").save(out)


def test_a_folder_of_copies(tmp_path):
    for number, name in enumerate(("a/0.mp4", "b/0.mp4", "b/1.mp4")):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        Clip(video=torch.full((2, 3, 16, 16), number / 4), fps=4).save(tmp_path / "clips" / name)
    rows = [{**row, "clip": str(tmp_path / "clips" / row["clip"])} for row in ROWS]
    table = read_table(write(tmp_path / "t.csv", rows))
    out = tmp_path / "kept"
    filter_table(table, "reward in [5, 2]").save(out)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["a/0.mp4", "b/1.mp4", "dropped.csv", "dropped.meta.json", "manifest.csv", "manifest.meta.json"]
    assert (out / "b" / "1.mp4").read_bytes() == (tmp_path / "clips" / "b" / "1.mp4").read_bytes()
    assert [one.path for one in list_clips(out / "manifest.csv")] == [out / "a" / "0.mp4", out / "b" / "1.mp4"]
    with pytest.raises(ArgumentError, match="a new or empty folder"):
        filter_table(table, "reward == 5").save(out)
    lost = tmp_path / "lost"
    with pytest.raises(AvrewardError, match=r"a/1.mp4: can't be copied"):
        filter_table(table, "reward == 4").save(lost)
    assert not lost.exists()
    (tmp_path / "clips" / "a" / "1.mp4").write_text("root:x:0:0")  # a table may name any file
    with pytest.raises(AvrewardError, match=r"a/1.mp4: can't be copied \(not media"):
        filter_table(table, "reward == 4").save(lost)
    assert not lost.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert json.loads((out / "manifest.meta.json").read_text())["group_by"] == "prompt"
