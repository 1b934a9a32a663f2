"""What fits 80 GB, computed: the tables, and every configuration of a published model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tuning_fits import (
    AGAV,
    BUDGET,
    GB,
    LARGE,
    MODELS,
    Network,
    activations,
    configurations,
    needs,
    parts_of,
    table_of_configurations,
    table_of_models,
    wan,
    wan_tokens,
)
from tuning_memory import layers_peak

CONFIGURATIONS = dict(configurations())


def test_the_table_of_models():
    assert wan_tokens(81, 480, 832) == 32760
    small, large = (
        parts_of(wan("14B", LARGE, *size), {"agav": AGAV}, {}) for size in ((33, 480, 832), (81, 720, 1280))
    )
    assert small["all"] < BUDGET < large["all"]
    assert small["weights"] == large["weights"] == 2 * (14e9 + 0.13e9)
    assert large["transformer"] > 4 * small["transformer"]
    assert parts_of(MODELS[0], {}, {})["raters"] == 0
    assert len(table_of_models().splitlines()) == 2 + len(MODELS)


def test_activations_of_a_layer_are_at_least_those_measured():
    """A tiny Wan of width 24 in float32, which is twice as many bytes a value."""
    tiny = Network(0.0, 6, 24, 16)
    kept, inside = (2 * size for size in activations(tiny, 768))
    two, eight = (layers_peak(layers, checkpointing=False) for layers in (2, 8))
    assert 0.7 * 6 * inside < eight - two < 6 * inside
    two, eight = (layers_peak(layers, checkpointing=True) for layers in (2, 8))
    assert eight - two == pytest.approx(kept - inside, rel=0.5)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_fits_80_gb(name: str):
    parts = needs(CONFIGURATIONS[name])
    assert parts["all"] == pytest.approx(1.1 * sum(size for part, size in parts.items() if part != "all"))
    assert 5 * GB < parts["all"] <= BUDGET
    assert parts["raters"] > GB / 10


def test_what_a_configuration_needs_follows_its_settings():
    run = CONFIGURATIONS["flow_grpo_wan, node_8x80gb"]
    whole = needs(replace(run, settings={**run.settings, "rows": run.group}))
    assert whole["all"] > 2 * BUDGET  # the whole group at once
    assert needs(replace(run, group=12))["rollouts"] == pytest.approx(needs(run)["rollouts"] / 2)
    draft = CONFIGURATIONS["draft_ltx2"]
    assert needs(draft)["raters"] > needs(CONFIGURATIONS["nft_ltx2"])["raters"]  # of the same reward, with a gradient
    assert needs(replace(draft, lora={**draft.lora, "rank": 64}))["LoRA"] == 2 * needs(draft)["LoRA"]


def test_the_table_of_configurations():
    lines = table_of_configurations().splitlines()
    assert len(lines) == 2 + len(CONFIGURATIONS)
    assert len({line.count("|") for line in lines}) == 1
