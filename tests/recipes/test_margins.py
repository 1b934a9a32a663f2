"""The recipes on trained tiny generators: one update of each, and in full what each gains over its control."""

from __future__ import annotations

import importlib
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest
from tuned import HELD_OUT, Plan, compare, over_control
from tuned_joint import bouncing
from tuned_tasks import dubbing

TASKS = {
    "draft_v2a": dubbing,
    "raft_audio": dubbing,
    "diffusion_dpo": dubbing,
    "draft_ltx2": bouncing,
    "nft_ltx2": bouncing,
    "flow_grpo_wan": lambda: importlib.import_module("flow_grpo_wan").tiny(),
}


@pytest.fixture
def small(monkeypatch: Any) -> None:
    """One scene to train on, one to judge by."""
    for name in ("TRAIN", "TEST"):
        monkeypatch.setattr(f"tuned_tasks.{name}", 1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", TASKS)
def test_an_update_of_a_recipe_and_of_its_control(name: str) -> None:
    recipe, task = importlib.import_module(name), TASKS[name]()
    task = replace(task, train=task.train[:1], test=task.test[:1], noises=2)
    rows = compare(task, Plan(recipe.PLAN.loop, updates=1, batch=1, group=min(3, recipe.PLAN.group)), [0])
    assert set(recipe.PLAN.margins) <= {row["score"] for row in rows}
    assert any(row["score"].startswith(HELD_OUT) for row in rows)
    assert rows[0]["gain"] != 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["draft_v2a"])  # the recipe whose margins were measured
def test_scores_rise_over_the_control_by_the_margin_stated_beforehand(name: str) -> None:
    recipe = importlib.import_module(name)
    rows = compare(TASKS[name](), recipe.PLAN, [0, 1, 2])
    for score, margin in recipe.PLAN.margins.items():
        assert over_control(rows, score) >= margin, score
        assert fmean(row["gain"] for row in rows if row["score"] == score) > 0, score
