"""The actor without Ray: the rows of a table from paths, bytes and samples of shards."""

from __future__ import annotations

import json

import numpy as np
import pytest
from served import Fussy, sound

from avreward import load_rater
from avreward.errors import ArgumentError
from avreward.integrations import ScoreClips
from avreward.integrations.ray._rows import row_of_sample, shards_in
from avreward.scoring import Evaluator, Share, list_clips, read_table, score_table
from avreward.scoring._shares import part_of


def test_rows_are_those_of_a_table_whatever_the_clips_come_as(tmp_path, monkeypatch):
    monkeypatch.setattr("avreward.integrations.ray._actor.isolated_for", lambda files, isolate: _nothing())
    for i in range(3):
        sound(0.1 + i / 10).save(tmp_path / f"{i}.wav")
    (tmp_path / "1.wav").write_bytes(b"RIFF")
    signals = load_rater("signals")
    score_table(list_clips(tmp_path), tmp_path / "t.parquet", [signals], signals["audio_quality"])
    expected = read_table(tmp_path / "t.parquet").rows.to_pylist()
    paths = [str(tmp_path / f"{i}.wav") for i in range(3)]
    score = ScoreClips("audio_quality", store=str(tmp_path / "store"))
    by_path = [json.loads(row) for row in score({"clip": np.array(paths)})["row"]]
    contents = np.array([(tmp_path / f"{i}.wav").read_bytes() for i in range(3)], dtype=object)
    by_bytes = [json.loads(row) for row in score({"clip": np.array(paths), "content": contents})["row"]]
    for rows in (by_path, by_bytes):
        for row, one in zip(rows, expected, strict=True):
            assert (row["clip"], row["group"], row["reward"]) == (one["clip"], one["group"], one["reward"])
            assert row.get("signals.clipping") == one["signals.clipping"]
            assert list(row["reasons"].items()) == [(r["dimension"], r["reason"]) for r in one["reasons"]]
        assert [row["problem"] is None for row in rows] == [True, False, True]
    assert [row["known"] for row in by_bytes] == [True, False, True]
    assert score.about()["metadata"] == read_table(tmp_path / "t.parquet").metadata


def test_samples():
    shard = {"__key__": "a/b", "mp4": b"x", "txt": b"a dog\n", "json": b'{"seed": 3, "nested": {}}'}
    row = row_of_sample(shard)
    assert (row["clip"], row["content"]) == ("a/b.mp4", b"x")
    assert json.loads(row["about"]) == {"seed": 3, "prompt": "a dog"}
    decoded = shard | {"txt": "a dog", "json": {"seed": 3}}  # by a reader
    assert json.loads(row_of_sample(decoded)["about"]) == {"seed": 3, "prompt": "a dog"}
    assert json.loads(row_of_sample({"path": "p.mp4", "prompt": "x"})["about"]) == {"prompt": "x"}
    assert row_of_sample({"bytes": b"y"})["clip"] == "clip"
    for wrong in ({"__key__": "a", "txt": b"x"}, {"__key__": "a", "mp4": b"x", "wav": b"y"}, {"label": 1}):
        with pytest.raises(ArgumentError):
            row_of_sample(wrong)
    assert shards_in(["a.tar", "b.TAR"]) == ["a.tar", "b.TAR"]
    assert shards_in("a.tar") == ["a.tar"]
    assert shards_in(["a.tar", "b.mp4"]) is shards_in([]) is shards_in(3) is None


def test_parts_are_read_as_one(tmp_path):
    for i in range(5):
        sound(i / 10).save(tmp_path / f"{i}.wav")
    clips, signals = list_clips(tmp_path), load_rater("signals")
    score_table(clips, tmp_path / "one.csv", [signals])
    for number, own in enumerate((clips[:2], clips[2:4], clips[4:])):
        score_table(own, part_of(tmp_path / "all.csv", number, 3), [signals], group_by="parent", share=Share())
    assert read_table(tmp_path / "all.csv").rows.to_pylist() == read_table(tmp_path / "one.csv").rows.to_pylist()


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_a_rater_that_fails_on_a_whole_batch_ends_no_actor(tmp_path):
    paths = [tmp_path / f"{i}.wav" for i in range(2)]
    for path in paths:
        sound(1.0).save(path)
    rows = list(Evaluator(Fussy(), isolate=False).stream(paths, strict=False))
    assert ["too loud" in row.scores["fussy"].reasons[0]["power"] for row in rows] == [True, True]
    with pytest.raises(RuntimeError, match="too loud"):
        list(Evaluator(Fussy(), isolate=False).stream(paths))
