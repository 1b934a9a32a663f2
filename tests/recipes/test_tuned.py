"""What the recipes that fine-tune share: the task, the control, the run, and the table."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from tuned import HELD_OUT, Plan, Shuffled, gains, judged, tune
from tuned_tasks import dubbing, fit

from avreward import Clip, term
from avreward.training import FlowGrpo

RECIPES = ("draft_v2a", "raft_audio", "diffusion_dpo", "draft_ltx2", "nft_ltx2", "flow_grpo_wan")


@term(needs="audio")
def loud(clip: Clip) -> torch.Tensor:
    return clip.audio.abs().mean()


def sound(loudness: float) -> Clip:
    return Clip(audio=loudness * torch.ones(1, 800), sample_rate=16000)


@pytest.fixture
def small(monkeypatch: Any) -> None:
    """One scene to train on, one to judge by."""
    for name in ("TRAIN", "TEST"):
        monkeypatch.setattr(f"tuned_tasks.{name}", 1)


def test_the_control_deals_rewards_out_within_the_group() -> None:
    clips = [sound(x) for x in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    true = loud["loud"].evaluate(clips)
    control = Shuffled(loud["loud"], seed=0)
    found = control.evaluate(clips)
    assert torch.equal(found.values.sort().values, true.values.sort().values)
    assert not torch.equal(found.values, true.values)
    assert torch.equal(found.values, found.terms["loud.loud"])
    assert [one.name for one in control.terms] == ["loud.loud"]


def test_the_control_gives_a_clip_alone_a_random_sign() -> None:
    control = Shuffled(loud["loud"], seed=0)
    true = loud["loud"]([sound(0.1)])
    found = torch.cat([control.evaluate([sound(0.1)]).values for _ in range(40)])
    assert torch.equal(found.abs(), true.abs().expand(40))
    assert 8 < int((found > 0).sum()) < 32


def test_the_reward_is_high_where_level_and_change_go_together() -> None:
    video = torch.zeros(10, 3, 8, 8)
    video[5:] = 1.0  # one change, after half a second
    wave = 0.001 * torch.ones(1, 16000)
    wave[:, 8000:9600] = 0.5
    other = wave.flip(1).roll(-4000, 1)
    together, apart = (fit["fit"]([Clip(video=video, fps=10, audio=w, sample_rate=16000)]) for w in (wave, other))
    assert together > 0.5
    assert apart < together - 0.4


@pytest.mark.usefixtures("small")
def test_judging_repeats_and_a_run_counts_what_it_spends() -> None:
    task = dubbing()
    generator = task.build(0)
    first, second = judged(task, generator), judged(task, generator)
    assert set(first) == {"reward", "fit.fit", HELD_OUT + "match"}
    for name, values in first.items():
        assert len(values) == task.noises
        assert torch.equal(values, second[name])

    def loop(generator: Any, reward: Any, seed: int) -> FlowGrpo:
        return FlowGrpo(generator, reward, steps=2, kl_weight=0.0, seed=seed)

    curve = tune(task, Plan(loop, updates=2, batch=1, group=2), seed=0, looks=2)
    assert [point["samples"] for point in curve] == [0, 2, 4]
    assert [point["steps"] for point in curve] == [0, 4, 8]
    assert [point["calls"] for point in curve] == [0, 6, 12]  # two steps of two samples, and the trained one again
    assert gains(curve)["reward"] == curve[-1]["reward"] - curve[0]["reward"]
    assert curve[0]["reward"] == float(first["reward"].mean())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_prints_its_table(name: str, tmp_path: Any, capsys: Any, monkeypatch: Any) -> None:
    recipe = importlib.import_module(name)
    monkeypatch.setattr(
        "tuned.compare",
        lambda task, plan, seeds: [
            {"seed": seed, "score": "reward", "before": 1.0, "gain": float(plan.updates), "control": 0.0}
            for seed in seeds
        ],
    )
    arguments = ["--seeds", "4", "5", "--updates", "3", "--json", str(tmp_path / "a.json")]
    plan = replace(recipe.PLAN, margins={"reward": 0.5})
    recipe.main(recipe.__doc__, plan, lambda: None, arguments=arguments)
    shown = capsys.readouterr().out
    assert "| 5 | reward | 1.000 | +3.000 | +0.000 |" in shown
    assert "reward: +3.000 over the control, 0.5 or more expected" in shown
    assert [row["seed"] for row in json.loads((tmp_path / "a.json").read_text())] == [4, 5]
