"""Ratings are read from tables, and what is wrong in one is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avreward.datasets import Ratings, read_ratings
from avreward.errors import ArgumentError, AvrewardError

TEXT = "clip,person,overall,audio\na.mp4,ann,4,\na.mp4,bob,2,3\nb.mp4,ann,5,1\n"


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    return path


def test_a_table(tmp_path) -> None:
    found = read_ratings(table(tmp_path, TEXT))
    assert (found.clips, found.people) == (("a.mp4", "b.mp4"), ("ann", "bob"))
    np.testing.assert_array_equal(found.table(), [[4, 2], [5, np.nan]])
    audio = read_ratings(table(tmp_path, TEXT), "audio")
    np.testing.assert_array_equal(audio.table(), [[np.nan, 3], [1, np.nan]])
    assert "3 ratings of 2 clips by 2 people" in repr(found)


def test_columns_of_other_names(tmp_path) -> None:
    path = table(tmp_path, "file,user,mos\na.mp4,1,4\na.mp4,2,2\n")
    assert read_ratings(path, "mos", clip="file", person="user").people == ("1", "2")
    with pytest.raises(ArgumentError, match=r"ratings\.csv: expected one of file, user, mos, got 'clip'; name the"):
        read_ratings(path, "mos")


def test_repeated_ratings_are_numbered(tmp_path) -> None:
    path = table(tmp_path, "clip,person,overall,repetition\na,ann,4,1\na,ann,2,2\n")
    assert read_ratings(path).values.tolist() == [4, 2]
    assert read_ratings(path).table().tolist() == [[3]]
    with pytest.raises(ArgumentError, match=r"ratings\.csv.*got two of a by ann; keep one of them"):
        read_ratings(table(tmp_path, "clip,person,overall\na,ann,4\na,ann,2\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clip,person,overall\na,ann,6\na,bob,7\n", "expected ratings from 1 to 5, got 6 and 1 more"),
        ("clip,person,overall\na,ann,good\n", "row 1: expected a number as a rating, got 'good'"),
        ("clip,person,overall\na,ann,inf\n", "got inf"),
        ("clip,person,overall\na,ann,4\nb,,4\n", "row 2: expected a name in the column person, got none"),
        ("clip,person,overall\n ,ann,4\n", "row 1: expected a name in the column clip, got none"),
        ("clip,person,overall\na,ann,\n", "at least one rating"),
    ],
)
def test_wrong_ratings(tmp_path, text: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        read_ratings(table(tmp_path, text), low=1, high=5)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(AvrewardError, match="absent"):
        read_ratings(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 2],), "an array"),
        (([[1, 2]], ["a", "b"]), "clips: expected 1 names, got 2"),
        (([[1, 2]], ["a"], ["x", "x"]), "people: expected different names, got 'x' twice"),
    ],
)
def test_wrong_arrays(arguments: tuple, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Ratings.from_array(*arguments)
    with pytest.raises(ArgumentError, match="as many clips"):
        Ratings.from_rows(["a"], ["x", "y"], [1])
