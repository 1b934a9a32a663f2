"""The table of `benchmarks/floor.py`: each step is measured, and the ratio is that of pairs of runs."""

import floor
import media_files
import pytest


def test_each_step_is_measured_and_the_ratio_is_of_pairs(tmp_path):
    path = media_files.write(tmp_path / "a.mp4", 8, sound="aac")
    found = floor.measured(path, 2)
    assert all(len(values) == 2 and min(values) > 0 for values in found.values())
    for turn in range(2):
        assert found["floor"][turn] == found["decode and scale"][turn] + found["sound"][turn]
        assert found["ours over floor"][turn] == pytest.approx(found["ours"][turn] / found["floor"][turn])
    rows = floor.table({"decode": [1.0, 3.0, 2.2], "ours over floor": [1.5, 1.25]})
    assert rows[2:] == ["| decode | 1 | 2 | 3 |", "| ours over floor | 1.25 | 1.38 | 1.50 |"]
