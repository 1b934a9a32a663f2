"""Pairs of runs that write one output at the same time; `concurrent_runs.py` runs more of them."""

import pytest

from attacks.concurrent_runs import main


@pytest.mark.slow
def test_ten_pairs_of_runs_leave_whole_outputs_of_one_run_each():
    found = main(["--pairs", "10"])
    assert found.total() == 10
    assert not [what for what in found if "BROKEN" in what]
