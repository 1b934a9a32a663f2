"""TRL's own trainers, two steps, with rewards as their functions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from toy_raters import Toy, sound
from trl_checks import trained

from avreward import Clip, MediaError
from avreward.integrations.trl.rewards import trl_reward, trl_rewards


def render(text: str, /, **columns: Any) -> Clip:
    """Louder with more words; a text with a certain word has no sound."""
    if "noisy" in text:
        raise MediaError("text", "noisy", "write another")
    return sound((1 + len(text.split())) / 10)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_grpo_with_the_terms_one_by_one(tmp_path, asynchronous) -> None:
    rater = Toy()
    functions, weights = trl_rewards(
        2 * rater["power"] - 0.5 * rater["peak"], render=render, asynchronous=asynchronous, prompt_column="scene"
    )
    options = {"reward_weights": weights, "multi_objective_aggregation": "normalize_then_sum"}
    trainer = trained("GRPO", tmp_path, functions, **options)
    logs = trainer._logs  # of the last step
    power, peak = (list(logs["rewards"][name]) for name in ("toy.power", "toy.peak"))
    texts, reasons = list(logs["completion"]), list(logs["extra"]["avreward/missing"])
    assert len(texts) == len(power) == len(reasons) == len(logs["extra"]["avreward/toy.power"]) == 8
    for text, one, other, why in zip(texts, power, peak, reasons, strict=True):
        if "noisy" in text:
            assert math.isnan(one)
            assert math.isnan(other)
            assert why == "text: noisy; write another"
        else:
            assert one == pytest.approx((1 + len(text.split())) / 10)
            assert other == pytest.approx(one**0.5)
            assert why == ""
    assert any(math.isnan(one) for one in power), "the case must occur"
    steps = trainer.state.log_history[:2]
    judged = sum(8 * (1 - step["avreward/missing"]) for step in steps)
    assert sum(rater.calls) == pytest.approx(judged)  # one pass for both terms
    for step in steps:
        assert step["avreward/toy.power"] == pytest.approx(step["rewards/toy.power/mean"])


def test_rloo(tmp_path) -> None:
    function = trl_reward(Toy()["power"], render=render, name="loudness")
    trainer = trained("RLOO", tmp_path, function, beta=0.0)  # no reference model, which it would look up by name
    history = trainer.state.log_history
    assert all(history[i]["rewards/loudness/mean"] > 0.1 for i in range(2))
    assert all("loudness/missing" in history[i] for i in range(2))
