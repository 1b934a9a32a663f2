"""Files and folders that appear whole: an error leaves what was there, and two writers do not mix."""

import pytest

from avreward._whole_files import private_name, whole_file, whole_folder


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
