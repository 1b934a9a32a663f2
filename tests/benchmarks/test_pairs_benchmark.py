"""The benchmark of preference pairs makes a table that the commands read, and each of its cases makes pairs."""

import pairs as benchmark
import pytest

from avreward.scoring.table_reader import read_table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "scores.parquet"
    benchmark.make_table(path, 4000)
    return path


def test_the_table_is_one_that_score_could_have_written(table):
    found = read_table(table)
    assert len(found) == 4000
    assert len(found.scores) == benchmark.SCORES
    assert found.metadata["group_by"] == "prompt"


@pytest.mark.parametrize("case", list(benchmark.CASES))
def test_each_case_makes_pairs(table, tmp_path, case):
    found = benchmark.once(table, case, tmp_path / "out")
    assert found["pairs"] == 500 if case.startswith("best") else found["pairs"] > 10
    assert found["cpu"] > 0
    assert 0.05 < found["gigabytes"] < 8
    assert (tmp_path / "out" / "README.md").exists()
