"""The monitor: quiet on runs that agree, stops those that part, and goes on after a restart."""

import json
import math

import numpy as np
import pytest
import torch

from avreward.errors import ArgumentError
from avreward.training.monitor import MonitorState, RewardDivergence, RewardMonitor

STEPS = 200


def stopped(seed: int, make, **settings) -> int | None:
    monitor = RewardMonitor(**settings)
    trained, held_out = make(np.random.default_rng(seed))
    for step in range(STEPS):
        if monitor.update([trained[step]], [held_out[step]]).diverged:
            return step
    return None


def noise(generator):
    shared = generator.normal(0, 0.3, STEPS)
    return shared + generator.normal(0, 0.3, STEPS), 0.5 * shared + generator.normal(0, 0.3, STEPS)


def agreeing(generator):
    first, second = noise(generator)
    time = np.arange(STEPS) / 100
    return time + first, 0.7 * time + second


def levelling(generator):
    first, second = noise(generator)
    time = np.arange(STEPS) / 100
    return time + first, np.minimum(time, 0.5) + second


def parting(generator):
    first, second = noise(generator)
    time = np.arange(STEPS) / 100
    return 1.5 * time + first, np.where(time < 1, time, 3 - 2 * time) + second


@pytest.mark.parametrize("make", [noise, agreeing, levelling])
def test_runs_that_agree_go_on(make) -> None:
    assert sum(stopped(seed, make) is not None for seed in range(12)) == 0


def test_runs_that_part_are_stopped_after_they_part() -> None:
    found = [stopped(seed, parting) for seed in range(12)]
    assert sum(step is not None for step in found) >= 11
    assert all(step is None or step > 105 for step in found)


def test_a_falling_pair_is_no_gaming() -> None:
    falling = stopped(0, lambda g: tuple(-x for x in agreeing(g)))
    other_way = stopped(0, lambda g: parting(g)[::-1])  # the trained one falls, the held-out one rises
    assert (falling, other_way) == (None, None)


def test_the_rule_by_hand() -> None:
    monitor = RewardMonitor(window=10, patience=2)
    states = [monitor.update([t, t + 1.0], [-t, -t]) for t in range(12)]
    assert [state.correlation for state in states[:9]] == [None] * 9
    assert (states[9].correlation, states[9].trained_trend, states[9].held_out_trend) == (
        pytest.approx(-1), pytest.approx(1), pytest.approx(-1),
    )  # fmt: skip
    assert [(state.suspicious, state.diverged) for state in states[9:]] == [(1, False), (2, True), (3, True)]
    states[9].raise_if_diverged()
    with pytest.raises(RewardDivergence, match=r"step 11: the trained reward rises .* -1\.00"):
        states[10].raise_if_diverged()
    # r = t/√(n − 2 + t²) with t(0.99, 8) = 2.896
    assert monitor.critical == pytest.approx(2.896 / math.sqrt(8 + 2.896**2), rel=1e-3)
    later = [monitor.update([12.0 + t], [12.0 + t]) for t in range(15)][-1]
    assert (later.suspicious, later.diverged) == (0, True)  # it stays so


def test_one_quiet_step_starts_the_count_anew() -> None:
    monitor = RewardMonitor(window=8, patience=3)
    for t in range(9):
        monitor.update([t], [-t])
    assert monitor.state.suspicious == 2
    assert monitor.update([-100.0], [100.0]).suspicious == 0


def test_constant_rewards_say_nothing() -> None:
    monitor = RewardMonitor(window=8)
    for t in range(20):
        state = monitor.update([1.0], [-t])
    assert (state.correlation, state.trained_trend, state.diverged) == (None, None, False)
    assert "–" in str(state)


def test_missing_values_take_no_part() -> None:
    monitor, plain = RewardMonitor(window=8), RewardMonitor(window=8)
    for t in range(12):
        monitor.update([t, None, 99.0], torch.tensor([t * t, 50.0, float("nan")]))
        plain.update([t], [t * t])
        assert monitor.update([None], [1.0]).step == t + 1  # a step without a pair is none
    assert monitor.state_dict() == plain.state_dict()
    with pytest.raises(ArgumentError, match=r"trained: expected a sequence of .*, got 1.0; pass one such as \[1.0\]"):
        RewardMonitor().update(1.0, 2.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"held_out: expected a sequence of all clips' rewards, got 2"):
        RewardMonitor().update([1.0], 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="held_out: expected one reward per clip, got 2 for 1 trained ones"):
        monitor.update([1.0], [1.0, 2.0])


def test_it_goes_on_where_it_was() -> None:
    trained, held_out = parting(np.random.default_rng(3))
    whole, part = RewardMonitor(window=20), RewardMonitor(window=20)
    for step in range(STEPS):
        if step == 110:
            part = RewardMonitor.from_state_dict(json.loads(json.dumps(part.state_dict())))
        assert whole.update([trained[step]], [held_out[step]]) == part.update([trained[step]], [held_out[step]])
    assert isinstance(part.state, MonitorState)
    with pytest.raises(ArgumentError, match=r"saved: expected the state .*KeyError.*; pass what state_dict returned"):
        RewardMonitor.from_state_dict({"window": 20})


@pytest.mark.parametrize("wrong", [{"window": 7}, {"window": 9.5}, {"alpha": 0.0}, {"alpha": 0.5}, {"patience": 0}])
def test_settings(wrong) -> None:
    with pytest.raises(ArgumentError, match=f"^{next(iter(wrong))}: expected"):
        RewardMonitor(**wrong)
