"""The split of groups into train and test: how many, and that neither side is empty."""

import pytest
from scored_tables import pools

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
