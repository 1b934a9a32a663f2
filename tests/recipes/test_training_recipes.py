"""The recipes of training: every ablation is a valid run, and each recipe runs at tiny size."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

import torch
import yaml
from tiny.aigveval import tiny_aigveval
from tiny.assessor import tiny_assessor
from tiny.qwen_omni import tiny_qwen2_5_omni
from tiny_agav_rater import write_tiny
from torch import nn

from avreward import Clip, load_rater
from avreward.raters import Rater, SyncRater, TrainedRater
from avreward.raters.sync._backbone import SyncBackbone
from avreward.training import read_run, train_rater
from avreward.training.rater.run import _arguments

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = ("agav_rater", "aigv_assessor", "aigveval", "avbench", "sync")
LEVELS = ("excellent", "good", "fair", "poor", "bad")


def ablations(name: str) -> list[str]:
    return list(yaml.safe_load((RECIPES / f"{name}.yaml").read_text())["ablations"])


@pytest.mark.parametrize(("name", "ablation"), [(name, one) for name in NAMES for one in (None, *ablations(name))])
def test_each_ablation_is_a_run(name, ablation, tmp_path) -> None:
    whole = read_run(RECIPES / f"{name}.yaml")
    run = read_run(RECIPES / f"{name}.yaml", ["settings.use_cpu=true", f"output={tmp_path / 'out'}"], ablation)
    for number in range(1, len(run.stages) + 1):
        assert _arguments(run, number).learning_rate > 0
    if ablation is not None:
        assert (run.stages, run.options) != (whole.stages, whole.options)


def test_the_papers_numbers() -> None:
    agav = read_run(RECIPES / "agav_rater.yaml")
    assert [stage["num_train_epochs"] for stage in agav.stages] == [1, 5]
    assert (agav.settings["learning_rate"], agav.settings["per_device_train_batch_size"]) == (1e-5, 9)
    assessor = read_run(RECIPES / "aigv_assessor.yaml")
    assert [stage["stage"] for stage in assessor.stages] == ["levels", "scores", "pairs"]
    assert assessor.settings["learning_rate"] == 4e-5
    aigveval = read_run(RECIPES / "aigveval.yaml")
    assert aigveval.stages[0]["loss"] == "pearson + 0.3*rank"
    assert aigveval.settings["num_train_epochs"] == 10


def write_clip(number: int) -> str:
    dice = torch.Generator().manual_seed(number)
    video = torch.rand(9, 3, 32, 48, generator=dice)
    sound = 0.3 * torch.rand(1, 16000, generator=dice)
    path = f"{number}.mp4"
    Clip(video=video, fps=8, audio=sound, sample_rate=16000).save(path)
    return path


def write(name: str, rows: list[dict[str, Any]]) -> None:
    with Path(name).open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_tables(names: list[str], dimensions: list[str], values: Callable[[int], Any]) -> None:
    for at, name in enumerate(names):
        start = 100 * at
        clips = [write_clip(start + i) for i in range(4)]
        rows = [
            {"clip": clip, "group": f"{at}.{i // 2}", "prompt": "a dog"} | dict.fromkeys(dimensions, values(i))
            for i, clip in enumerate(clips)
        ]
        pairs = [
            {"first": clips[i], "second": clips[i - 1], "group": f"{at}.{i}", "prompt": "a dog"}
            | dict.fromkeys(dimensions, ("first", "second", "tie", "first")[i])
            for i in range(4)
        ]
        write(name, pairs if "pairs" in name else rows)


def start_agav() -> Rater:
    return load_rater(write_tiny(Path("tiny_agav"), frames=2), scheme="masked")


def start_avbench() -> Rater:
    omni, folder = tiny_qwen2_5_omni(), Path("start/avbench/audio_video")
    omni.module.save_pretrained(folder)
    omni.tokenizer.save_pretrained(folder)
    return load_rater("start/avbench")


def start_sync() -> Rater:
    omni = tiny_qwen2_5_omni()
    return SyncRater(
        SyncBackbone(omni.module, omni.tokenizer), nn.Linear(omni.module.config.text_config.hidden_size, 1)
    )


ASSESSED = ["static_quality", "temporal_smoothness", "dynamic_degree", "tv_correspondence"]
STARTS: dict[str, tuple[Callable[[], Rater], list[str], list[str]]] = {
    "agav_rater": (start_agav, ["audio_quality", "av_consistency", "overall"], ["mos.csv", "mos_test.csv"]),
    "aigv_assessor": (tiny_assessor, ASSESSED, ["mos.csv", "mos_test.csv", "pairs.csv", "pairs_test.csv"]),
    "aigveval": (tiny_aigveval, ["quality"], ["mos.csv", "mos_test.csv"]),
    "avbench": (start_avbench, ["audio_video"], ["items.csv", "items_test.csv", "pairs.csv", "pairs_test.csv"]),
    "sync": (
        start_sync, ["sync"],
        ["pairs_easy.csv", "pairs_medium.csv", "pairs_hard.csv", "pairs_test.csv", "scores.csv", "scores_test.csv"],
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_recipe_at_tiny_size(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    start, dimensions, tables = STARTS[name]
    write_tables(tables, dimensions, (lambda i: i % 2) if name == "avbench" else (lambda i: 20.0 + 13 * i))
    if name == "agav_rater":
        write_tables(["levels.csv"], dimensions, lambda i: LEVELS[i])
    changes = [
        "settings.use_cpu=true",
        "settings.per_device_train_batch_size=2",
        "settings.max_steps=1",
        "settings.warmup_steps=0",
    ]
    run = read_run(RECIPES / f"{name}.yaml", [*changes, "settings.dataloader_pin_memory=false"])
    trained = train_rater(run, rater=start())
    assert [stage["settings"]["stage"] for stage in trained.record["stages"]] == [s["stage"] for s in run.stages]
    saved = load_rater(Path(run.output) / "rater", dtype=trained.settings["dtype"])
    assert isinstance(saved, TrainedRater)
    clip = Clip.open("0.mp4", prompt="a dog")
    with torch.no_grad():
        raw, before = saved.rater([clip]).values, trained.rater([clip]).values
    torch.testing.assert_close(raw, before, equal_nan=True)
    assert saved.dimension(dimensions[0]).name == dimensions[0]
