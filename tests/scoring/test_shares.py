"""Several processes that score together: the same table as one process, and what is missing is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Toy, sound

from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring import Share, list_clips, read_table, score_table

NO_RANK = {"RANK": "", "WORLD_SIZE": ""}


@given(st.integers(1, 7), st.lists(st.integers(), max_size=30))
def test_shares_are_all_items_once(world, items):
    parts = [Share(rank, world).of(items) for rank in range(world)]
    assert [parts[i % world][i // world] for i in range(len(items))] == items
    assert sum(map(len, parts)) == len(items)


def test_the_environment_decides(monkeypatch):
    for name, text in NO_RANK.items():
        monkeypatch.setenv(name, text)
    assert Share.of_process() == Share()
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ArgumentError, match=r"rank: expected a number from 0 to below .*, got 2 of 1"):
        Share.of_process()
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert Share.of_process() == Share(2, 3)
    monkeypatch.setenv("RANK", "two")
    with pytest.raises(ArgumentError, match="RANK: expected an integer"):
        Share.of_process()


def rows(path: Path) -> list[dict]:
    return read_table(path).rows.to_pylist()


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_their_tables_are_read_as_one(tmp_path, ending):
    for name in "abcdefg":
        sound(ord(name) / 200, 800).save(tmp_path / f"{name}.wav")
    (tmp_path / "d.wav").write_bytes(b"RIFF")
    (tmp_path / "list.csv").write_text("clip,note\n" + "\n".join(f"{name}.wav,{ord(name)}" for name in "gfedcba"))
    clips, toy = list_clips(tmp_path / "list.csv"), Toy()
    one, out = tmp_path / f"one{ending}", tmp_path / f"many{ending}"
    score_table(clips, one, [toy], toy["power"])
    for rank in (2, 0, 1):
        done = score_table(clips, out, [toy], toy["power"], share=Share(rank, 3))
        assert done.path == tmp_path / f"many.rank{rank}-of-3{ending}"
    assert rows(out) == rows(one)
    assert [Path(row["clip"]).stem for row in rows(out)] == list("gfedcba")
    assert read_table(out).metadata == read_table(one).metadata
    for rank in range(9):  # more processes than clips
        score_table(clips, tmp_path / f"few{ending}", [toy], toy["power"], share=Share(rank, 9))
    assert rows(tmp_path / f"few{ending}") == rows(one)
    with pytest.raises(ArgumentError, match="out: expected the name of a new table"):
        score_table(clips, one, [toy], share=Share(0, 3))
    last = tmp_path / f"many.rank2-of-3{ending}"
    last.rename(tmp_path / f"kept{ending}")
    with pytest.raises(AvrewardError, match="expected tables of 3 processes, got none of rank 2"):
        read_table(out)
    score_table(clips * 2, out, [toy], toy["power"], share=Share(2, 3))
    with pytest.raises(AvrewardError, match=r"numbers of rows are \[3, 2, 4\]"):
        read_table(out)
    score_table(clips, out, [toy], toy["peak"], share=Share(2, 3))
    with pytest.raises(AvrewardError, match="their raters, reward or groups differ"):
        read_table(out)
    score_table(clips, out, [toy], share=Share(0, 2))
    with pytest.raises(AvrewardError, match="of one run, got some of 2 processes and some of 3 processes"):
        read_table(out)


@pytest.mark.slow
def test_torchrun_gives_the_table_of_one_process(tmp_path):
    for i in range(7):
        sound(0.05 + i / 10, 4000).save(tmp_path / f"{i}.wav")
    (tmp_path / "3.wav").write_bytes(b"RIFF")
    environment = os.environ | NO_RANK | {"AVREWARD_STORE": str(tmp_path / "store"), "OMP_NUM_THREADS": "1"}
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    words = ["-m", "avreward", "--quiet", "score", str(tmp_path), "--no-store", "--reward", "audio_quality", "--out"]
    alone = subprocess.run([sys.executable, *words, str(one)], env=environment, capture_output=True, text=True)
    assert alone.returncode == 1, alone.stderr  # one file is damaged
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--no-python"]
    both = subprocess.run([sys.executable, *launch, sys.executable, *words, str(two)], env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert both.returncode == 0, both.stderr
    assert not two.exists()
    assert rows(two) == rows(one)
    assert len(rows(two)) == 7
    assert json.loads((tmp_path / "two.rank1-of-2.jsonl").read_text().splitlines()[1])["clip"].endswith("3.wav")
