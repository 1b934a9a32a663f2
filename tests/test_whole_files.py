"""Files and folders that appear whole: an error leaves what was there, and two writers do not mix."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from avreward import _whole_files, load_rater
from avreward._locks import OutputInUse
from avreward._whole_files import private_name, whole_file, whole_folder
from avreward.rewards import load_reward, save_reward
from avreward.scoring import read_table
from avreward.scoring.table_writer import TableWriter


def half_written(place, write):
    """Write, and fail before the end."""
    with place as part:
        write(part)
        raise KeyError


def test_a_file_appears_at_the_end(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(KeyError):
        half_written(whole_file(path), lambda part: part.write_text("half"))
    with pytest.raises(OSError, match="gone") as caught:
        half_written(whole_file(tmp_path / "gone" / "x.txt"), lambda part: part.write_text("nothing"))
    assert caught.value.filename == str(tmp_path / "gone" / "x.txt")
    with pytest.raises(KeyError):
        half_written(whole_folder(tmp_path / "folder"), lambda part: (part / "a").touch())
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_a_folder_that_got_contents_stays(tmp_path):
    def another_run():
        with whole_folder(tmp_path / "folder"):
            (tmp_path / "folder").mkdir()
            (tmp_path / "folder" / "others").touch()

    with pytest.raises(OSError, match="not empty"):
        another_run()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "others"]


def test_names_differ(tmp_path):
    assert len({private_name(tmp_path / "x") for _ in range(100)}) == 100


def test_long_names_fit(tmp_path):
    path = tmp_path / f"{'ä' * 120}.csv"
    with whole_file(path) as part:
        part.write_text("x")
    assert path.read_text() == "x"


@pytest.mark.skipif(sys.platform == "win32", reason="processes can't be asked there")
def test_what_killed_runs_left_is_removed_and_what_others_write_stays(tmp_path):
    script = "import sys, os; from avreward._whole_files import private_name as name; from pathlib import Path\n"
    script += "path = name(Path(sys.argv[1]) / 'x.csv'); path.write_text('half')\n"
    script += "folder = name(Path(sys.argv[1]) / 'y'); folder.mkdir(); (folder / 'z').touch(); os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    dead = next(path for path in tmp_path.iterdir() if path.is_file())
    elsewhere = tmp_path / dead.name.replace(_whole_files._machine(), "00000000")  # another machine's
    elsewhere.touch()
    mine = private_name(tmp_path / "a" / "x.csv").name
    (tmp_path / mine).touch()
    (tmp_path / ".notes.part").touch()
    _whole_files._sweep.cache_clear()
    with whole_file(tmp_path / "x.csv") as part:
        part.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {"x.csv", elsewhere.name, mine, ".notes.part"}


def test_of_concurrent_writers_one_wins_whole(tmp_path):
    def table(number):
        with suppress(OutputInUse), TableWriter(tmp_path / "scores.csv", ["a.b"], {}) as writer:
            for row in range(300):
                writer.add(clip=f"{number}-{row}", **{"a.b": float(number)})

    def reward(number):
        save_reward((number + 1) * load_rater("signals")["audio_quality"], tmp_path / "reward.yaml")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(table, range(12)))
        list(pool.map(reward, range(12)))
    rows = read_table(tmp_path / "scores.csv").rows
    (number,) = set(rows["a.b"].to_pylist())
    assert rows["clip"].to_pylist() == [f"{number:g}-{row}" for row in range(300)]
    assert "signals.audio_quality" in repr(load_reward(tmp_path / "reward.yaml"))
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")]
