"""A real Ray on this machine with two actors, of which one is killed: the same table as without."""

from __future__ import annotations

import os
import signal
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import ray
from served import sound

from avreward.errors import ArgumentError
from avreward.integrations import RayActors, score_dataset
from avreward.raters import term
from avreward.scoring import list_clips, read_table, score_table

pytestmark = pytest.mark.slow


def load():
    """Return a reward that is slow enough to be interrupted; actors call this."""
    import time

    @term(needs="audio", low=0, high=1)
    def slow(clip):
        time.sleep(0.05)
        return clip.sound().abs().mean()

    return slow["slow"], [slow]


@pytest.fixture(scope="module")
def cluster():
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not import the tests
    ray.init(
        num_cpus=3, object_store_memory=100_000_000, include_dashboard=False, _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture
def clips(tmp_path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(40):
        sound(0.01 + i / 50).save(folder / f"{i}.wav")
    (folder / "7.wav").write_bytes(b"RIFF")
    return folder


def actor_processes() -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::MapWorker" in place.read_bytes():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def rows(path: Path) -> list[dict]:
    """Rows of a table; the fingerprint of a term that was pickled by value is another one than here."""
    return [{name: value for name, value in row.items() if name != "fingerprint"} for row in
            read_table(path).rows.to_pylist()]  # fmt: skip


def test_an_actor_that_is_killed_changes_no_row(cluster, clips, tmp_path):
    reward, raters = load()
    score_table(list_clips(clips), tmp_path / "one.parquet", raters, reward)
    killed: list[int] = []

    def step(name: str) -> None:
        if not killed and (there := actor_processes()):
            killed.append(there[0])
            os.kill(there[0], signal.SIGKILL)

    run = score_dataset(
        str(clips), tmp_path / "many.parquet", load, actors=RayActors(2, batch=4), rows_a_part=15,
        store=tmp_path / "store", step=step,
    )  # fmt: skip
    assert killed
    assert (run.rows, run.failed) == (40, 1)
    expected = rows(tmp_path / "one.parquet")
    assert rows(tmp_path / "many.parquet") == expected
    parts = sorted(path.name for path in tmp_path.glob("many.*"))
    assert parts == [f"many.part{i}-of-3.parquet" for i in range(3)]
    (tmp_path / parts[1]).unlink()  # a run that goes on makes what is missing, from the store
    stamps = [(tmp_path / name).stat().st_mtime_ns for name in (parts[0], parts[2])]
    again = score_dataset(
        list_clips(clips), tmp_path / "many.parquet", load, actors=RayActors(1, batch=4), rows_a_part=15,
        store=tmp_path / "store",
    )  # fmt: skip
    assert (again.rows, again.failed) == (40, 1)
    assert again.known >= 39
    assert [(tmp_path / name).stat().st_mtime_ns for name in (parts[0], parts[2])] == stamps
    assert rows(tmp_path / "many.parquet") == expected


def test_shards_and_data_sets(cluster, clips, tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for i in (3, 7, 11):
            for ending, content in ((".txt", f"prompt {i}".encode()), (".wav", (clips / f"{i}.wav").read_bytes())):
                entry = tarfile.TarInfo(f"sample{i}{ending}")
                entry.size = len(content)
                shard.addfile(entry, BytesIO(content))
    score_dataset(str(tmp_path / "shard.tar"), tmp_path / "shard.jsonl", load, actors=RayActors(1))
    found = rows(tmp_path / "shard.jsonl")
    assert [(row["clip"], row["prompt"]) for row in found] == [(f"sample{i}.wav", f"prompt {i}") for i in (3, 7, 11)]
    assert [row["reward"] is None for row in found] == [False, True, False]
    data = ray.data.from_items([{"path": str(clips / f"{i}.wav"), "prompt": "x"} for i in (5, 2)])
    score_dataset(data, tmp_path / "set.csv", load, actors=RayActors((1, 2)))
    assert [Path(row["clip"]).name for row in rows(tmp_path / "set.csv")] == ["5.wav", "2.wav"]
    with pytest.raises(ArgumentError, match="actors"):
        RayActors(0)


def test_a_long_list_is_taken_in_larger_batches():
    assert [RayActors(2).taking(rows) for rows in (None, 1, 40, 2000, 100_000)] == [32, 1, 20, 62, 256]
    assert [RayActors(2, batch=4).taking(rows) for rows in (None, 6, 100_000)] == [4, 3, 4]
    for wrong in (RayActors, lambda **options: RayActors(2, **options)):
        with pytest.raises(ArgumentError, match="actors"):
            wrong(batch=0)


def test_actors_share_the_cores(cluster):
    assert [RayActors(count).threads() for count in (None, 1, 2, (1, 3), 9)] == [3, 3, 1, 1, 1]
