"""The page of curves: what its axes name."""

import math
from itertools import pairwise

import pytest

from avreward.report.curve_page import _marks


@pytest.mark.parametrize(
    ("largest", "named"),
    [
        (1, "1"), (2, "1 2"), (3, "1 2 3"), (5, "1 2 4 5"), (7, "1 2 4 7"), (8, "1 2 4 8"), (9, "1 2 4 9"),
        (12, "1 2 4 8 12"), (15, "1 2 4 8 15"), (17, "1 2 4 8 17"), (1000, "1 4 16 64 256 1000"),
    ],
)  # fmt: skip
def test_an_axis_of_k_ends_with_the_largest_and_no_two_labels_touch(largest, named):
    marks = _marks(largest)
    assert [label for _, label in marks] == named.split()
    assert [x for x, _ in marks] == pytest.approx([math.log2(int(label)) for _, label in marks])
    assert all(after - before > 0.06 * marks[-1][0] for (before, _), (after, _) in pairwise(marks))
