"""The split of groups into train and test, and copies of one clip, which count once."""

import av
import pytest
import torch
from scored_tables import pools, write

from avreward.clip import Clip
from avreward.scoring.table_reader import read_table
from avreward.scoring.table_writer import covariates
from avreward.selection.candidates import candidates_of
from avreward.selection.pairs._rule import PairRule
from avreward.selection.pairs.make import make_pairs


@pytest.mark.parametrize("groups", [2, 3, 10])
@pytest.mark.parametrize(("share", "expected"), [(0.01, lambda n: 1), (0.99, lambda n: n - 1)], ids=["few", "most"])
def test_neither_side_is_empty(tmp_path, groups, share, expected):
    pool = candidates_of(pools(tmp_path / "t.parquet", [[1.0, 0.0]] * groups))
    found = make_pairs(pool, PairRule(test=share))
    assert found.test.sum() == expected(groups)
    assert len(found) == groups


def test_a_share_of_0_tests_nothing(tmp_path):
    pool = candidates_of(pools(tmp_path / "t.parquet", [[1.0, 0.0]] * 5))
    assert not make_pairs(pool, PairRule(test=0.0)).test.any()


def remux(source, target):
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)


def test_a_copy_in_another_container_is_a_copy(tmp_path):
    """Its time stamps are rounded to milliseconds, so that its keys differ."""
    for i in range(2):
        video = torch.rand(12, 3, 32, 48, generator=torch.Generator().manual_seed(i))
        Clip(video=video, fps=23.976, audio=video.reshape(1, -1)[:, :22050] - 0.5, sample_rate=44100).save(
            tmp_path / f"{i}.mp4"
        )
    remux(tmp_path / "0.mp4", tmp_path / "2.mkv")
    clips = [Clip.open(tmp_path / name) for name in ("0.mp4", "1.mp4", "2.mkv")]
    assert clips[0].keys["video"] != clips[2].keys["video"]
    rows = [{"clip": str(c.path), **covariates(c), "prompt": "x", "reward": float(i)} for i, c in enumerate(clips)]
    pool = candidates_of(read_table(write(tmp_path / "t.parquet", rows)))
    found = make_pairs(pool, PairRule("all"))
    assert found.dropped["a copy of another clip of its group (clips, not pairs)"] == 1
    assert len(found) == 1
    (tmp_path / "2.mkv").unlink()  # what cannot be read is as it was
    assert len(make_pairs(pool, PairRule("all"))) == 3
