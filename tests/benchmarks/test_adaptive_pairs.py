"""The table of the benchmark, at tiny size."""

import adaptive_pairs
import pytest


def test_the_table_has_a_row_a_pairing(monkeypatch):
    monkeypatch.setattr(adaptive_pairs, "ITEMS", 3)
    lines = adaptive_pairs.table(2, ["gaps of 2", "drawn, σ = 1.5"]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["random", "adaptive"] * 2
    votes = [int(line.split("|")[3]) for line in lines[2:]]
    assert all(0 < one < adaptive_pairs.MOST for one in votes)
    assert lines[3].split("|")[4].strip() == pytest.approx(f"{votes[1] / votes[0]:.0%}")


def test_votes_stop_at_the_limit(monkeypatch):
    monkeypatch.setattr(adaptive_pairs, "MOST", 20)
    generator = adaptive_pairs.np.random.default_rng(0)
    for adaptive in (True, False):
        found, votes = adaptive_pairs.votes_needed(adaptive_pairs.np.zeros(4), generator, adaptive)
        assert votes == 20
        assert found.share < 1
