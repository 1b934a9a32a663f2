"""Configurations: what fits, and one clear error for what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from training_runs import entries

from avreward.errors import ArgumentError, AvrewardError
from avreward.training import read_tuning


def read(folder: Path, *changes: str, variant: str | None = None, **given: Any) -> Any:
    content = entries(folder) | {"variants": {"large": ["batch=64", "settings.truncation=random"]}} | given
    path = folder / "tune.yaml"
    path.write_text(yaml.safe_dump(content))
    return read_tuning(path, changes, variant)


def test_texts_become_the_numbers_that_a_loop_wants(tmp_path: Path) -> None:
    run = read(tmp_path, "settings.learning_rate='1e-4'", "settings.kl_weight=1", "lora.rank='4'")
    assert run.loop_settings == {"steps": 4, "truncation": 2, "learning_rate": 1e-4, "kl_weight": 1.0}
    assert type(run.loop_settings["kl_weight"]) is float
    assert run.lora_settings["rank"] == 4


def test_a_variant_changes_entries_and_set_has_the_last_word(tmp_path: Path) -> None:
    run = read(tmp_path, "batch=8", variant="large")
    assert (run.batch, run.loop_settings["truncation"]) == (8, "random")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["lop=draft"], "did you mean 'loop'"),
        (["loop=grpo"], "loop: expected one of draft, nft, flow_grpo, dpo, raft, got 'grpo'"),
        (["settings.lerning_rate=1"], "did you mean 'learning_rate'"),
        (["settings.learning_rate=fast"], "settings.learning_rate: expected a number, got 'fast'"),
        (["settings.truncation=last"], 'settings.truncation: expected "random" or "refl" or an integer, got'),
        (["settings.seed=3"], "settings: expected one of"),
        (["lora.targets=3"], "lora.targets: expected a text or a list"),
        (["lora.network=x"], "lora: expected one of rank, alpha, targets"),
        (["updates=null"], "updates: expected a value, got none; write updates:"),
        (["updates=0"], "updates: expected an integer of at least 1, got 0"),
        (["updates=2.5"], "updates: expected an integer, got 2.5"),
        (["loop=nft", "settings={}", "group=1"], "group: expected an integer of at least 2, got 1"),
        (["guards_off=[probe]"], "did you mean 'probes'"),
        (["trackers=[tensorbord]"], "did you mean 'tensorboard'"),
        (["reward="], "reward: expected a value, got none"),
        (["settings"], "set: expected PLACE=VALUE"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path: Path, changes: list[str], said: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        read(tmp_path, *changes)
    assert said in str(caught.value)


def test_a_file_that_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "tune.yaml"
    with pytest.raises(AvrewardError, match="can't be read"):
        read_tuning(path)
    path.write_text("- draft\n")
    with pytest.raises(ArgumentError, match="expected entries such as generator: and reward:"):
        read_tuning(path)
    with pytest.raises(ArgumentError, match="variant: expected one of large"):
        read(tmp_path, variant="small")
