"""Published scores are read from CSV files, and what is wrong in one is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from avreward.datasets import read_published
from avreward.errors import AvrewardError


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "published.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table(tmp_path, encoding: str) -> None:
    text = 'clip,audio_quality,overall\n"a, b",50.5,60\nc,,61\n\nd,1e1,\n'
    assert read_published(table(tmp_path, text, encoding)) == {
        "a, b": {"audio_quality": 50.5, "overall": 60.0},
        "c": {"overall": 61.0},
        "d": {"audio_quality": 10.0},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected rows under a first line with `clip`"),
        ("clip,overall\n", "got 0 rows"),
        ("name,overall\na,1\n", "with `clip` and dimensions, got 1 rows"),
        ("clip\na\n", "with `clip` and dimensions, got 1 rows"),
        ("clip,overall\na,good\n", r"line 2: expected a number for each score .*good"),
        ("clip,overall\na,1\nb,nan\n", r"line 3: expected a number for each score"),
        ("clip,overall\na,inf\n", r"line 2: expected a number for each score"),
        ("clip,overall\na,1,2\n", r"line 2: expected a number for each score"),
        ("clip,overall\n,1\n", r"line 2: clip: expected the start of .*, got no name"),
        ("clip,overall\na,1\na,2\n", r"line 3: clip: expected .*, got 'a' a second time"),
    ],
)
def test_tables_that_are_none(tmp_path, text: str, said: str) -> None:
    with pytest.raises(AvrewardError, match=rf"published\.csv.*{said}"):
        read_published(table(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(AvrewardError, match="can't be read as CSV"):
        read_published(tmp_path / "absent.csv")
    with pytest.raises(AvrewardError, match="can't be read as CSV"):
        read_published(table(tmp_path, "clip,überall\n", "latin-1"))
    with pytest.raises(AvrewardError, match="can't be read as CSV"):
        read_published(tmp_path)
