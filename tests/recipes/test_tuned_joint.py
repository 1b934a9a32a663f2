"""The task of the recipes that fine-tune a joint generator, and the path of published pipelines."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_joint.check import scenes
from tiny_ltx2 import tiny_ltx2
from tiny_pipelines import tiny_ltx2_with_text, tiny_wan
from tuned import HELD_OUT, Plan, Task, compare
from tuned_joint import CALM, LOUD, bouncing, loud, prompted

from avreward import load_rater


def test_what_is_held_out_measures_the_same_property() -> None:
    """Over scenes, where balls are slow or fast: the two measurements of a property agree."""
    task, clips = bouncing(), [clip for own in scenes(8).values() for clip in own]
    heldout = task.heldout(clips, 0)
    found = {HELD_OUT + name: values for name, values in heldout.items()} | dict(task.reward.evaluate(clips).terms)
    assert set(found) == {"calm.calm", "loud.loud", CALM, LOUD}
    for trained, other in (("calm.calm", CALM), ("loud.loud", LOUD)):
        assert float(torch.corrcoef(torch.stack([found[trained], found[other]]))[0, 1]) > 0.5, other


def small_update(recipe: ModuleType, task: Task) -> list[dict[str, Any]]:
    """The rows of one update of the smallest batch."""
    plan = recipe.PLAN
    return compare(task, Plan(plan.loop, updates=1, batch=1, group=min(plan.group, 2)), [0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["draft_ltx2", "nft_ltx2"])
def test_the_published_ltx2_takes_the_same_path(name: str, monkeypatch: Any) -> None:
    recipe, settings = (importlib.import_module(one) for one in (name, "draft_ltx2"))
    monkeypatch.setattr("diffusers.LTX2Pipeline.from_pretrained", lambda *_, **__: tiny_ltx2_with_text())
    for key, value in {"num_frames": 9, "height": 32, "width": 32}.items():
        monkeypatch.setitem(settings.CALL, key, value)
    rows = small_update(recipe, recipe.published(["rain", "wind"]))
    assert {row["score"] for row in rows} >= {"reward", f"{HELD_OUT}signals.temporal_smoothness"}


@pytest.mark.slow
def test_the_published_wan_takes_the_same_path(monkeypatch: Any) -> None:
    recipe, signals = importlib.import_module("flow_grpo_wan"), load_rater("signals")
    monkeypatch.setattr("diffusers.WanPipeline.from_pretrained", lambda *_, **__: tiny_wan())
    offline = {recipe.RATER: {"overall": signals["dynamic_degree"]}, "signals": signals}
    monkeypatch.setattr(recipe, "load_rater", offline.__getitem__)
    for key, value in {"num_frames": 9, "height": 32, "width": 32}.items():
        monkeypatch.setitem(recipe.CALL, key, value)
    rows = small_update(recipe, recipe.published(["rain", "wind"]))
    assert {row["score"] for row in rows} >= {"reward", f"{HELD_OUT}signals.static_quality"}


def test_a_published_model_needs_a_prompt_that_is_held_out() -> None:
    with pytest.raises(ValueError, match="prompts: expected two at least, got 1"):
        prompted(tiny_ltx2, ["rain"], {}, loud["loud"], loud["loud"])
