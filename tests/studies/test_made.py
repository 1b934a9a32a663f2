"""What cannot be made is told; some errors end all."""

import pytest

from avreward.errors import ArgumentError, AvrewardError
from avreward.studies._made import NotMade, check_different, made_at_a_time


def test_failures_are_told_in_their_place():
    def make(number):
        if number == 1:
            raise AvrewardError("a.mp4: it is broken")
        if number == 2:
            raise RuntimeError("out of\nmemory")
        return number

    found = made_at_a_time(make, range(4), make, OSError)
    assert found == [0, NotMade("a.mp4: it is broken"), NotMade("RuntimeError: out of memory"), 3]


def test_a_fatal_error_ends_all():
    def make(number):
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        made_at_a_time(make, range(4), make, OSError)


def test_one_name_twice():
    check_different(["a", "b"])
    with pytest.raises(ArgumentError, match="videos: expected files with different names, got b twice; rename one"):
        check_different(["b", "a", "b"])
