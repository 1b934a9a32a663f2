"""Preference pairs against brute force, and what they promise: no copies, no leak between train and test."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_tables import pools, varied, write

from avreward.errors import ArgumentError, AvrewardError
from avreward.scoring.table_reader import read_table
from avreward.selection.candidates import candidates_of
from avreward.selection.pairs._rule import PairRule
from avreward.selection.pairs.make import PreferencePairs, make_pairs


def listed(found: PreferencePairs) -> list[tuple[int, int]]:
    return list(zip(found.chosen.tolist(), found.rejected.tolist(), strict=True))


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=5), min_size=1, max_size=5), st.integers(0, 3))
def test_as_brute_force(tmp_path_factory, values, margin):
    table = pools(tmp_path_factory.mktemp("brute") / "t.parquet", values)
    rewards, start, everything, extremes = [v for pool in values for v in pool], 0, [], []
    for pool in values:
        rows = range(start, start + len(pool))
        start += len(pool)
        good = [(c, r) for c, r in itertools.permutations(rows, 2) if rewards[c] - rewards[r] > margin]
        everything += sorted(good)
        best, worst = max(rows, key=lambda i: rewards[i]), min(rows, key=lambda i: rewards[i])  # the first of equals
        extremes += [(best, worst)] * (rewards[best] - rewards[worst] > margin)
    for which, expected in (("all", everything), ("best_worst", extremes)):
        if not expected:
            with pytest.raises(AvrewardError, match="expected at least one pair, got none"):
                make_pairs(candidates_of(table), PairRule(which, margin))
            continue
        found = make_pairs(candidates_of(table), PairRule(which, margin))
        assert listed(found) == expected
        assert found.margin.tolist() == [rewards[c] - rewards[r] for c, r in expected]


def test_best_against_worst_under_conditions_is_the_widest_that_is_left(tmp_path):
    sync = {"toy.sync": [[1.0, 2.0, 1.0, 2.0]]}
    table = pools(tmp_path / "t.parquet", [[4.0, 3.0, 2.0, 0.0]], **sync)
    plain = make_pairs(candidates_of(table))
    assert listed(plain) == [(0, 3)]
    found = make_pairs(candidates_of(table), PairRule(dimensions=("toy.sync",), conflicts="drop"))
    assert listed(found) == [(1, 3)]  # (0, 3) is wider, and worse in toy.sync
    assert found.dropped["worse in toy.sync"] == 3


def test_sigma(tmp_path):
    nan = float("nan")
    rewards, sigma = [[3.0, 2.0, 1.0, 0.0]], [[0.6, 0.8, 0.0, nan]]
    table = pools(tmp_path / "t.parquet", rewards, sigma=sigma)
    found = make_pairs(candidates_of(table), PairRule("all", sigmas=1.0))
    assert listed(found) == [(0, 2), (1, 2)]  # 1 against 2 differ by 1, and √(0.6² + 0.8²) is 1
    assert found.dropped == {"no sigma": 3, "a margin of 1 standard errors or less": 1}
    bare = pools(tmp_path / "bare.parquet", rewards)
    with pytest.raises(ArgumentError, match="sigmas: expected None for a table without values of sigma"):
        make_pairs(candidates_of(bare), PairRule(sigmas=1.0))


def test_the_standard_error_of_a_difference_is_the_root_of_the_sum_of_squares(tmp_path):
    """0.6 and 0.8 make 1, not 1.4: a margin of 1.2 exceeds it, one of 0.9 does not."""
    table = pools(tmp_path / "t.parquet", [[1.2, 0.0], [0.9, 0.0]], sigma=[[0.6, 0.8], [0.6, 0.8]])
    found = make_pairs(candidates_of(table), PairRule("all", sigmas=1.0))
    assert listed(found) == [(0, 1)]
    assert found.dropped == {"a margin of 1 standard errors or less": 1}


def test_conflicts_are_named_or_dropped(tmp_path):
    nan = float("nan")
    columns = {"toy.quality": [[3.0, 2.0, 9.0]], "toy.sync": [[1.0, 5.0, nan]]}
    table = pools(tmp_path / "t.parquet", [[3.0, 2.0, 1.0]], **columns)
    kept = make_pairs(candidates_of(table), PairRule("all", dimensions=("toy.quality", "toy.sync")))
    assert kept.worse.tolist() == [[False, True], [True, False], [True, False]]
    dropped = make_pairs(candidates_of(table), PairRule("all", dimensions=("toy.quality",), conflicts="drop"))
    assert listed(dropped) == [(0, 1)]
    with pytest.raises(AvrewardError, match=r"1 × worse in toy\.sync; 2 × no score|2 × no score under toy\.sync"):
        make_pairs(candidates_of(table), PairRule("all", dimensions=("toy.sync",), conflicts="drop"))


def test_copies_count_once(tmp_path):
    key = {"a": "a" * 32, "b": "b" * 32, "c": "c" * 32}
    rows = [
        {"prompt": "x", "clip_key": key["a"], "reward": 3.0},
        {"prompt": "x", "clip_key": key["a"], "reward": 3.0},
        {"prompt": "x", "clip_key": key["b"], "reward": 1.0},
        {"prompt": "y", "clip_key": key["b"], "reward": 1.0},
        {"prompt": "y", "clip_key": key["a"], "reward": 3.0},
        {"prompt": "y", "clip_key": key["c"], "reward": 0.0},
    ]
    found = make_pairs(candidates_of(read_table(write(tmp_path / "t.parquet", rows))), PairRule("all"))
    assert listed(found) == [(0, 2), (3, 5), (4, 5)]
    assert found.dropped == {
        "a copy of another clip of its group (clips, not pairs)": 1,
        "the same two clips as in another group": 1,
    }


def test_matching_leaves_nothing_to_learn(tmp_path):
    pool = candidates_of(read_table(varied(tmp_path / "t.parquet", 300, 8)))
    match = {"seconds": None, "loudness": 2.0, "motion": 0.5, "size": None}
    found = make_pairs(pool, PairRule("all", match=match, test=0.3))
    assert found.leaks["together"][0] > 0.75
    assert found.leaks["together"][1] == pytest.approx(0.5, abs=0.06)
    assert found.leaks["loudness"][1] == 0.5  # exactly, by balance
    assert found.leaks["loudness"][0] > 0.7
    assert len(found) > 200
    for side in (found.test, ~found.test):
        loud = pool.table.numbers("loudness")
        apart = loud[found.chosen[side]] - loud[found.rejected[side]]
        assert (apart > 0).sum() == (apart < 0).sum()
        assert np.abs(apart).max() <= 2


def test_the_split_is_by_group(tmp_path):
    pool = candidates_of(read_table(varied(tmp_path / "t.parquet", 50, 4)))
    found = make_pairs(pool, PairRule("all", test=0.2))
    assert not set(found.group[found.test]) & set(found.group[~found.test])
    assert len(set(found.group[found.test])) == 10
    other = make_pairs(pool, PairRule("all", test=0.2, seed=1))
    assert set(found.group[found.test]) != set(other.group[other.test])


def test_the_split_does_not_depend_on_the_order_of_rows(tmp_path):
    rows = [{"prompt": f"p{i % 9}", "reward": float(i), "clip": f"{i}.mp4"} for i in range(36)]
    names = []
    for number, order in enumerate((rows, rows[::-1])):
        pool = candidates_of(read_table(write(tmp_path / f"{number}.parquet", order)))
        found = make_pairs(pool, PairRule(test=0.3))
        names.append({pool.names[g] for g in found.group[found.test]})
    assert names[0] == names[1]
    assert len(names[0]) == 3


def test_groups_that_share_a_clip_stay_together(tmp_path):
    """a–b–c hang together by clips that stand in two of them; d stands alone."""
    shared = {("a", 0): "1" * 32, ("b", 0): "1" * 32, ("b", 1): "2" * 32, ("c", 0): "2" * 32}
    rows = [
        {"prompt": p, "reward": float(i), "clip_key": shared.get((p, i), f"{ord(p) * 100 + i:032x}")}
        for p in "abcd"
        for i in range(3)
    ]
    pool = candidates_of(read_table(write(tmp_path / "t.parquet", rows)))
    for seed in range(6):
        found = make_pairs(pool, PairRule(test=0.5, seed=seed))
        sides = {pool.names[g]: bool(t) for g, t in zip(found.group, found.test, strict=True)}
        assert sides["a"] == sides["b"] == sides["c"] != sides["d"]


def test_a_single_group_is_for_training(tmp_path):
    found = make_pairs(candidates_of(pools(tmp_path / "t.parquet", [[1.0, 2.0]])), PairRule(test=0.5))
    assert found.test.tolist() == [False]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[1.0], [2.0]], "no group has two candidates"),
        ([[2.0, 2.0]], "1 × equal rewards"),
        ([[1.0, 2.0]], "1 × a margin of 1 or less"),
    ],
)
def test_no_pair(tmp_path, values, reason):
    with pytest.raises(AvrewardError, match=reason):
        make_pairs(candidates_of(pools(tmp_path / "t.parquet", values)), PairRule(margin=1.0))


@pytest.mark.parametrize(
    "arguments",
    [
        {"which": "some"},
        {"margin": -1.0},
        {"margin": float("nan")},
        {"sigmas": -1.0},
        {"test": 1.0},
        {"conflicts": "drop"},
    ],
)
def test_bad_rules(arguments):
    with pytest.raises(ArgumentError, match=rf"^({next(iter(arguments))}|dimensions): expected"):
        PairRule(**arguments)


def test_columns_that_are_not_there(tmp_path):
    pool = candidates_of(pools(tmp_path / "t.parquet", [[1.0, 2.0]]))
    with pytest.raises(AvrewardError, match="got 'speed'"):
        make_pairs(pool, PairRule(dimensions=("speed",)))


def test_a_group_too_large_to_look_at_every_two(tmp_path, monkeypatch):
    monkeypatch.setattr("avreward.selection.pairs.make.MOST", 5)
    pool = candidates_of(pools(tmp_path / "t.parquet", [[1.0, 2.0, 3.0, 4.0]]))
    with pytest.raises(AvrewardError, match="got 6, as the largest group has 4 clips"):
        make_pairs(pool, PairRule("all"))
    assert listed(make_pairs(pool)) == [(3, 0)]


def test_blocks_do_not_show(tmp_path, monkeypatch):
    pool = candidates_of(read_table(varied(tmp_path / "t.parquet", 20, 5)))
    rules = (PairRule("all", margin=0.3), PairRule(margin=0.3, match={"loudness": None}))
    whole = [listed(make_pairs(pool, rule)) for rule in rules]
    monkeypatch.setattr("avreward.selection.pairs.make.AT_ONCE", 25)
    assert [listed(make_pairs(pool, rule)) for rule in rules] == whole
