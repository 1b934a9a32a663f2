"""Runs from a configuration file: stages, changes, going on, and what is wrong in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from known_quality import noisy_tone, write_table
from tiny.avbench_audio import write_tiny_nisqa

from avreward import load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import TrainedRater
from avreward.training import TrainingRun, read_run, train_rater

SETTINGS = {"use_cpu": True, "per_device_train_batch_size": 4, "dataloader_pin_memory": False, "num_train_epochs": 1}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_tiny_nisqa(folder / "nisqa")
    write_table(folder / "train.csv", 8, 0)
    write_table(folder / "test.csv", 5, 100)
    return folder


def run_of(work: Path, output: Path, **changes: Any) -> TrainingRun:
    stages = [{"loss": "plcc", "name": "first"}, {"loss": "l1"}]
    entries = {"rater": str(work / "nisqa"), "output": str(output), "stages": stages, "settings": SETTINGS}
    entries |= {"train": str(work / "train.csv"), "evaluation": str(work / "test.csv")}
    dimensions = {"dimensions": ["speech_quality=mos"]}
    return TrainingRun(**{**entries, "settings": {**SETTINGS, **dimensions}, **changes})


def test_stages_follow_each_other_and_a_finished_run_is_not_repeated(work, tmp_path) -> None:
    lines: list[str] = []
    run = run_of(work, tmp_path / "out")
    trained = train_rater(run, say=lines.append)
    assert [line.partition(":")[0] for line in lines] == ["stage 1, epoch 1", "stage 2, epoch 1"]
    assert "srcc" in lines[0]
    assert [stage["settings"]["loss"] for stage in trained.record["stages"]] == ["plcc", "l1"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1_first", "2_scores", "rater", "run.json"}
    saved = load_rater(tmp_path / "out" / "rater")
    assert isinstance(saved, TrainedRater)
    assert saved.fingerprint == trained.fingerprint
    assert saved.source["rater"] == str(tmp_path / "out" / "rater")
    first = load_rater(tmp_path / "out" / "1_first" / "rater")
    assert first.fingerprint != saved.fingerprint
    assert train_rater(run, say=lines.append).fingerprint == trained.fingerprint
    assert len(lines) == 2
    with pytest.raises(ArgumentError, match="output: expected a new folder, got that of another run"):
        train_rater(run_of(work, tmp_path / "out", settings={**run.settings, "seed": 7}))
    with pytest.raises(ArgumentError, match="output: expected a new folder, got one with checkpoints"):
        train_rater(run, resume=False)


def test_a_run_that_was_killed_between_stages_goes_on_with_the_next(work, tmp_path) -> None:
    whole = train_rater(run_of(work, tmp_path / "whole"))
    out = tmp_path / "killed"
    run = run_of(work, out)

    class Killed(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("stage 2"):
            raise Killed

    with pytest.raises(Killed):
        train_rater(run, say=stop)
    assert not (out / "rater").exists()
    again = train_rater(run)
    clip = noisy_tone(100)["clip"]
    torch.testing.assert_close(again([clip]).values, whole([clip]).values)
    assert len(again.record["stages"]) == 2


def test_a_file_is_read_and_changed(tmp_path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("rater: a\noutput: out\ntrain: t.csv\nstages:\n  - {stage: scores, learning_rate: 1e-4}\n")
    run = read_run(path, ["output=other", "stages.0.loss=l1", "settings.seed=3", "options.scheme=masked"])
    assert (run.output, run.stages[0]["loss"], run.settings, run.options) == (
        "other",
        "l1",
        {"seed": 3},
        {"scheme": "masked"},
    )
    from avreward.training.rater.run import _arguments

    assert _arguments(run, 1).learning_rate == 1e-4  # a text in YAML 1.1


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("rater: a\noutputs: b\n", [], "entry: expected one of .*did you mean 'output'"),
        ("output: b\nstages: [{}]\ntrain: t\n", [], "rater: expected a name"),
        ("rater: a\noutput: b\n", [], "stages: expected a list"),
        ("rater: a\noutput: b\nstages: [{}]\n", [], "number 1: train: expected a table"),
        ("rater: a\noutput: b\nstages: [{}]\ntrain: t\n", ["stages.1.loss=l1"], "set: expected PLACE=VALUE"),
        ("rater: a\noutput: b\nstages: [{}]\ntrain: t\n", ["stages.0.loss"], "set: expected PLACE=VALUE"),
        ("- a\n", [], "expected entries such as rater"),
        ("a: [\n", [], "can't be read"),
    ],
)
def test_wrong_files_are_named(text, changes, message, tmp_path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(AvrewardError, match=message):
        read_run(path, changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"lerning_rate": 1}, "did you mean 'learning_rate'"), ({"stage": "score"}, "did you mean 'scores'"),
     ({"learning_rate": "fast"}, "settings of stage 1: expected values that fit")],
)  # fmt: skip
def test_wrong_settings_fail_before_anything_is_written(settings, message, work, tmp_path) -> None:
    with pytest.raises(ArgumentError, match=message):
        train_rater(run_of(work, tmp_path / "out", settings=settings))
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_left_alone(work, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="which holds other files"):
        train_rater(run_of(work, tmp_path))


def test_an_ablation_changes_what_it_names(tmp_path) -> None:
    path = tmp_path / "run.yaml"
    entries = "rater: a\noutput: b\ntrain: t\nstages: [{stage: levels}, {stage: scores}]\n"
    path.write_text(entries + "ablations: {alone: [stages.0=null], other: [stages.1.loss=l1]}\n")
    assert [stage["stage"] for stage in read_run(path, ablation="alone").stages] == ["scores"]
    assert read_run(path, ablation="other").stages[1]["loss"] == "l1"
    assert len(read_run(path).stages) == 2
    with pytest.raises(ArgumentError, match="ablation: expected one of alone, other, got 'alon'; did you mean 'alone'"):
        read_run(path, ablation="alon")
