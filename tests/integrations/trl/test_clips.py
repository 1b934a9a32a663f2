"""Sample clips of a TRL run: every N steps, from the worst to the best, in files and in TensorBoard."""

from __future__ import annotations

from typing import Any

import pytest
from toy_raters import Toy, sound
from trl_checks import trained

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.integrations import ClipLogCallback, trl_reward, trl_rewards


def render(text: str, /, **columns: Any) -> Clip:
    return sound((1 + len(text.split())) / 10)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_leaves_clips_and_shows_them(tmp_path: Any, asynchronous: bool) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    judge = trl_reward(Toy()["power"], render=render, asynchronous=asynchronous)
    callback = ClipLogCallback(judge, every=2, count=3)
    trained("GRPO", tmp_path, judge, [callback], report_to=["tensorboard"])
    files = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "samples").rglob("*.wav"))
    assert files == [f"samples/step-000001/{i}.wav" for i in range(3)]  # step 0 is due, 1 is not; it ends as step 1
    powers = [float(Clip.open(tmp_path / name).audio.pow(2).mean()) for name in files]
    assert powers == sorted(powers)
    events = EventAccumulator(str(tmp_path / "runs" / "samples")).Reload()
    assert events.Tags()["audio"] == [f"samples/{i}" for i in range(3)]
    assert events.Audio("samples/0")[0].step == 1


def test_samples_are_spread_over_the_rewards() -> None:
    functions, _ = trl_rewards(Toy()["power"] + 0 * Toy()["peak"], render=render)
    functions[0].samples.wanted = 3
    completions = ["a b c d", "a", "a b", "a b c", "a b c d e"]
    for function in functions:
        function(prompts=["p"] * 5, completions=completions)
    taken = functions[1].samples.take()  # the functions of a call share one batch
    values = [value for _, value, _ in taken]
    assert len(values) == 3
    assert values == sorted(values)
    assert values[0] == pytest.approx(min(values))
    assert functions[0].samples.take() == []
    functions[0](prompts=["p"], completions=["a"])
    assert functions[0].samples.take() == []  # nobody has asked


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"every": 0}, "every: expected a positive integer, got 0"),
        ({"count": 1.5}, "count: expected a positive integer, got 1.5"),
        ({"function": print}, "function: expected a reward function from trl_reward"),
    ],
)
def test_bad_arguments(options: dict[str, Any], problem: str) -> None:
    function = options.pop("function", trl_reward(Toy()["power"]))
    with pytest.raises(ArgumentError, match=problem):
        ClipLogCallback(function, **options)


def test_a_full_disk_does_not_end_the_training(tmp_path: Any) -> None:
    (tmp_path / "file").touch()
    judge = trl_reward(Toy()["power"], render=render)
    callback = ClipLogCallback(judge, every=1, folder=tmp_path / "file")
    with pytest.warns(UserWarning, match="no samples of step"):
        trainer = trained("GRPO", tmp_path / "run", judge, [callback])
    assert trainer.state.global_step == 2
