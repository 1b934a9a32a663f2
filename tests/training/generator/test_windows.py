"""MixGRPO's windows against the published code's."""

from __future__ import annotations

import itertools

import pytest

from avreward.errors import ArgumentError
from avreward.training.generator.windows import sliding_windows


@pytest.mark.golden(case="mixgrpo_window")
def test_the_original(golden) -> None:
    for row in golden.data["rows"]:
        told = dict(row["parameters"])
        width, strategy = told["group_size"], told["sample_strategy"]
        options = {}
        if strategy == "decay":
            options["fewest"] = told["min_iters_per_group"]
            assert told["max_iters_per_group"] == told["iters_per_group"]
        if strategy == "exp_decay":
            options.update(threshold=told["exp_decay_thre_timestep"], rate=told["exp_decay_k"])
        if strategy == "random":
            options["seed"] = int(row["seed_of_update_i"].partition("+")[0])
        found = sliding_windows(
            told["max_timesteps"], width=width, iterations=told["iters_per_group"], motion=strategy,
            stride=told.get("prog_overlap_step", 1) if told.get("prog_overlap") else None,
            from_the_start=told.get("roll_back", False), **options,
        )  # fmt: skip
        expected = row["windows"]
        if strategy == "random":  # the original's first window is the first one of the schedule, before any draw
            expected = expected[1:]
        golden.same([list(window) for window in itertools.islice(found, len(expected))], expected)


def test_the_window_stays_empty_at_the_end_unless_it_begins_again() -> None:
    stays = list(itertools.islice(sliding_windows(4, width=2, iterations=1, from_the_start=False), 5))
    assert [list(window) for window in stays] == [[0, 1], [2, 3], [], [], []]
    again = list(itertools.islice(sliding_windows(4, width=2, iterations=1), 5))
    assert [list(window) for window in again] == [[0, 1], [2, 3], [], [0, 1], [2, 3]]


def test_settings_are_checked_at_once() -> None:
    with pytest.raises(ArgumentError, match="motion: expected one of progressive"):
        sliding_windows(4, motion="sideways")
    with pytest.raises(ArgumentError, match="width: expected a positive integer, got 0"):
        sliding_windows(4, width=0)
