"""`avreward train`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from known_quality import write_table
from tiny.avbench_audio import write_tiny_nisqa

from avreward.cli._common import USAGE

CONFIG = """
rater: nisqa
output: out
train: train.csv
evaluation: test.csv
settings: {use_cpu: true, per_device_train_batch_size: 4, num_train_epochs: 1, dataloader_pin_memory: false}
stages:
  - {stage: scores, dimensions: [speech_quality=mos]}
"""


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiny_nisqa(Path("nisqa"))
    write_table(Path("train.csv"), 8, 0)
    write_table(Path("test.csv"), 5, 100)
    Path("run.yaml").write_text(CONFIG)
    return Path("run.yaml")


def test_a_rater_is_trained_and_used(run, config) -> None:
    done = run("train", config, "--json", "--set", "stages.0.loss=pearson")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["rater"] == "out/rater"
    assert told["stages"][0]["loss"] == "pearson"
    assert -1 <= told["stages"][0]["srcc"] <= 1
    assert "stage 1, epoch 1: loss" in done.stderr
    again = run("train", config, "--set", "stages.0.loss=pearson")
    assert again.exit_code == 0
    assert "Held-out metrics of the weights that were kept" in again.stdout
    ranked = run("rank", "--rater", "out/rater", "--reward", "nisqa.speech_quality", "100.wav", "101.wav", "--json")
    assert ranked.exit_code == 0


def test_wrong_input_is_one_line(run, config) -> None:
    wrong = run("train", config, "--set", "settings.lerning_rate=1")
    assert wrong.exit_code == USAGE
    assert "did you mean 'learning_rate'" in wrong.stderr
    assert not Path("out").exists()
    assert run("train", "none.yaml").exit_code == 3
    Path("100.wav").unlink()
    absent = run("train", config)
    assert absent.exit_code == USAGE
    assert "test.csv: clips: expected files, got 1 file that do not exist" in absent.stderr.replace(
        "files that", "file that"
    )
