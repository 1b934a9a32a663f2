"""The monitor in TRL: what it reads of the logs, when it stops, and that a resumed run goes on with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toy_raters import Toy, sound
from transformers import TrainerCallback, TrainerControl, TrainerState
from trl_checks import trained

from avreward import Clip
from avreward.integrations.trl.monitor import RewardMonitorCallback
from avreward.integrations.trl.rewards import trl_reward


def log(callback: RewardMonitorCallback, mine: Any, theirs: Any) -> tuple[TrainerControl, dict[str, Any]]:
    logs = {"rewards/a/mean": mine, "rewards/b/mean": theirs, "loss": 1.0}
    return callback.on_log(None, TrainerState(), TrainerControl(), logs), logs


def test_it_stops_at_divergence_and_logs_the_correlations() -> None:
    callback, quiet = (RewardMonitorCallback("a", "b", window=8, patience=2, stop=stop) for stop in (True, False))
    for step in range(8):
        control, logs = log(callback, step, -step)
        log(quiet, step, -step)
        assert not control.should_training_stop
    assert logs["reward_monitor/correlation"] == -1.0 == logs["reward_monitor/held_out"]
    assert log(callback, 8, -8)[0].should_training_stop
    assert not log(quiet, 8, -8)[0].should_training_stop
    assert quiet.monitor.state.diverged


def test_logs_without_both_are_left_out() -> None:
    callback = RewardMonitorCallback("a", "b")
    for pair in ((None, 1.0), (float("nan"), 1.0)):
        log(callback, *pair)
    callback.on_log(None, TrainerState(), TrainerControl(), {"train_runtime": 3.0})
    callback.on_log(None, TrainerState(), TrainerControl(), None)
    assert callback.monitor.state.step == 0


def test_its_state_survives_a_checkpoint() -> None:
    callback = RewardMonitorCallback("a", "b", window=8, patience=2)
    for step in range(8):
        log(callback, step, -step)
    state = json.loads(json.dumps(callback.state()))
    again = RewardMonitorCallback.from_state(state)  # as transformers does
    assert again.monitor.state_dict() == callback.monitor.state_dict()
    assert log(again, 8, -8)[0].should_training_stop


def render(text: str, /, **columns: Any) -> Clip:
    return sound((1 + len(text.split())) / 10)


class Tracker(TrainerCallback):
    """What W&B's callback gets: each step's log, before the monitor sees it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        self.seen.append(dict(logs))


@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
def test_in_a_trainer(tmp_path, kind) -> None:
    functions = [
        trl_reward(Toy()["power"], render=render, name="a"),
        trl_reward(Toy()["peak"], render=render, name="b"),
    ]
    tracker, callback = Tracker(), RewardMonitorCallback("a", "b", window=8, stop=False)
    for step in range(7):  # so that the window is full after the first of the trainer's two steps
        log(callback, step, -step)
    trainer = trained(kind, tmp_path, functions, [tracker, callback], reward_weights=[1.0, 0.0], beta=0.0)
    first, second = [logs for logs in trainer.state.log_history if "rewards/a/mean" in logs]
    assert first["reward"] == first["rewards/a/mean"]  # b weighs 0
    assert callback.monitor.state.step == 9
    for name, rho in (("correlation", "correlation"), ("trained", "trained_trend"), ("held_out", "held_out_trend")):
        key = f"reward_monitor/{name}"
        assert second[key] == getattr(callback.monitor.state, rho)
        assert key not in tracker.seen[0]
        assert tracker.seen[1][key] == pytest.approx(first[key])
        assert first[key] != second[key]


def test_an_evaluation_between_hides_no_figures() -> None:
    told: list[tuple[str, float]] = []
    history: list[dict[str, float]] = [{"reward_monitor/trained": 0.5, "loss": 1.0}, {"eval_loss": 2.0}]
    judge = trl_reward(Toy()["power"], render=render)
    for state in (TrainerState(log_history=history), TrainerState(), None):
        judge([""], ["x"], trainer_state=state, log_metric=lambda name, value: told.append((name, value)))
    assert [pair for pair in told if pair[0].startswith("reward_monitor")] == [("reward_monitor/trained", 0.5)]
