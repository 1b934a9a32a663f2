"""Tuning runs: what they write, how they go on, where they stop, and what they refuse."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from full_disk import run_limited
from safetensors.torch import load_file
from training_runs import HERE, SETTINGS, entries, small

from avreward.errors import ArgumentError, AvrewardError
from avreward.generators import Condition, Noise
from avreward.training import TuningRun, tune
from avreward.training.tuning._guards import reason_to_stop
from avreward.training.tuning._record import RunRecord
from avreward.training.tuning.trainer import batch_of

FAR = ["probes", "samples", "prompt", "kl", "lora_norm"]  # off where a run goes far in few updates


def curves(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "curves.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def lora(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "out" / "lora.safetensors")


def done(run: TuningRun, **options: Any) -> Any:
    return tune(run, cpu=True, **options)


def test_a_run_writes_what_it_promises(tmp_path: Path) -> None:
    said: list[str] = []
    record = done(small(tmp_path, guards_off=["probes", "prompt"]), say=said.append, step=said.append)
    assert (record.status, len(record.rows)) == ("finished", 4)
    out = tmp_path / "out"
    kept = json.loads((out / "run.json").read_text())
    assert (kept["status"], kept["config"]["loop"]) == ("finished", "draft")
    rows = curves(tmp_path)
    assert [row["update"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[0]["reward"]) == pytest.approx(float(rows[0]["red.red"]))
    assert set(map(int, kept["samples"])) == {0, 2, 4}
    assert all((out / one["file"]).is_file() for shots in kept["samples"].values() for one in shots)
    page = (out / "report.html").read_text()
    assert "Finished: 4 of 4 updates" in page
    assert page.count("<video") == 9
    assert said[-1].startswith("reward ")


@pytest.mark.parametrize("loop", SETTINGS)
def test_every_loop_runs(tmp_path: Path, loop: str) -> None:
    assert done(small(tmp_path, loop, updates=2)).status == "finished"
    rows = curves(tmp_path)
    assert all(-1 <= float(row["held_out"]) <= 1 for row in rows)
    assert float(rows[-1]["lora_norm"]) > 0
    assert any(value.abs().sum() > 0 for name, value in lora(tmp_path).items() if "lora_B" in name)


def test_a_run_that_was_interrupted_goes_on_with_the_same_result(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    done(small(whole, "nft", updates=5))

    def stop(doing: str) -> None:
        steps.append(doing)
        if len(steps) == 3:
            raise KeyboardInterrupt

    steps: list[str] = []
    run = small(parts, "nft", updates=5)
    with pytest.raises(KeyboardInterrupt):
        done(run, step=stop)
    assert json.loads((parts / "out" / "run.json").read_text())["status"] == "interrupted"
    assert "Interrupted after 3 of 5 updates" in (parts / "out" / "report.html").read_text()
    assert done(run).status == "finished"
    assert curves(parts) == curves(whole)
    for name, value in lora(whole).items():
        assert torch.equal(value, lora(parts)[name]), name
    longer = done(small(parts, "nft", updates=6))
    assert len(longer.rows) == 6


CODE = """
import os, sys
from pathlib import Path
from training_runs import small
from avreward.training import tune
count = 0
def step(doing):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
tune(small(Path(sys.argv[1]), "flow_grpo", updates=5), cpu=True, step=step)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_the_same_result(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{CODE}", str(parts), "4"]
    assert subprocess.run(command, check=False).returncode == -9
    done(small(whole, "flow_grpo", updates=5))
    done(small(parts, "flow_grpo", updates=5))
    assert curves(parts) == curves(whole)
    for name, value in lora(whole).items():
        assert torch.equal(value, lora(parts)[name]), name


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    done(small(tmp_path, updates=2))
    before = sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir())
    code = (
        "from pathlib import Path\nfrom avreward.training import tune\nfrom training_runs import small\n"
        f"tune(small(Path({str(tmp_path)!r}), updates=6), cpu=True)"
    )
    room = (tmp_path / "out" / "checkpoints" / before[-1] / "state.pt").stat().st_size - 1000
    ended = run_limited(code, room)
    assert ended.returncode != 0
    assert "File too large" in ended.stderr
    assert "state.pt" in ended.stderr.strip().splitlines()[-1]
    assert sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir()) == before
    assert len(done(small(tmp_path, updates=6)).rows) == 6


def test_a_constant_reward_warns_and_then_stops(tmp_path: Path) -> None:
    for loop in ("raft", "draft"):
        folder = tmp_path / loop
        folder.mkdir()
        said: list[str] = []
        record = done(small(folder, loop, reward="flat.flat", updates=30, guards_off=FAR), say=said.append)
        assert (record.status, len(record.rows)) == ("stopped", 20)
        assert "20 updates in a row: there is nothing to learn" in record.reason
        assert sum("5 updates in a row; after 20 the run stops" in line for line in said) == 1
    quiet = small(folder, "draft", guards_off=[*FAR, "constant"])
    assert reason_to_stop(RunRecord(quiet, rows=record.rows), None) is None


def test_the_held_out_reward_falls_while_the_trained_one_rises(tmp_path: Path) -> None:
    changes = {"held_out": "-1*red.red", "updates": 24, "batch": 6, "every": 24}
    record = done(small(tmp_path, **changes, guards_off=FAR))
    assert record.status == "stopped"
    assert len(record.rows) < 24
    assert "the trained reward rises while the held-out one falls" in record.reason
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Stopped after" in page
    off = small(tmp_path, **changes, output=str(tmp_path / "off"), guards_off=[*FAR, "held_out"])
    assert (found := done(off)).status == "finished"
    assert found.rows[-1]["held_out"] is None


@pytest.mark.parametrize("guard", ["kl", "lora_norm"])
def test_a_network_far_from_the_frozen_one_stops(tmp_path: Path, guard: str) -> None:
    off = ["probes", "samples", "prompt", "held_out", "lora_norm" if guard == "kl" else "kl"]
    wild = SETTINGS["draft"] | {"learning_rate": 2.0}
    record = done(small(tmp_path, settings=wild, updates=30, guards_off=off))
    assert record.status == "stopped"
    assert record.reason.startswith(f"{guard} was above")
    assert len(record.rows) < 30


def test_a_missing_reward_is_told_and_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    record = done(small(tmp_path, "nft", reward="holey.holey", updates=3, group=8), say=said.append)
    assert record.status == "finished"
    assert 0 < sum(row["missing"] for row in record.rows) < sum(row["clips"] for row in record.rows)
    assert any(line.startswith("missing: ") for line in said)


def test_many_missing_rewards_or_gradients_stop_the_run(tmp_path: Path) -> None:
    row: dict[str, float | None] = {"clips": 8, "missing": 4, "gradient_norm": 1.0, "kl": 0.0, "lora_norm": 0.0}
    row |= {"constant": 0}

    def reason(changes: dict[str, float | None], count: int, off: tuple[str, ...] = ()) -> str | None:
        rows = [row | (changes if number < count else {}) for number in range(10)]
        return reason_to_stop(RunRecord(small(tmp_path, guards_off=off), rows=rows), None)

    assert reason({}, 0) is None
    assert reason({"missing": 5}, 1) == "41 of the last 80 clips had no finite reward; see the warnings for the reasons"
    assert reason({"missing": 8}, 10, ("missing",)) is None
    assert reason({"gradient_norm": None}, 5) is None
    assert "6 of the last 10 gradients were not finite" in str(reason({"gradient_norm": None}, 6))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": "cut.cut"}, "train with DiffusionNft, FlowGrpo, OnlineDpo or Raft"),
        (
            {"generator": f"{HERE}:Silent", "reward": "red.red + push.push"},
            "terms that may move video, got 'push.push'",
        ),
        ({"generator": f"{HERE}:Rigid"}, "targets: expected layers that take a LoRA"),
        ({"generator": f"{HERE}:small"}, "it cannot be made"),
        ({"generator": f"{HERE}:none"}, "has no none"),
        ({"generator": "no/such/folder"}, "this generator can't be loaded"),
        ({"reward": "blue.blue"}, "blue"),
        ({"conditions": "none.txt"}, "none.txt: these prompts can't be read"),
        ({"conditions": "none.mp4"}, "none.mp4"),
    ],
    ids=lambda value: next(iter(value.values()), "") if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_one_line_and_leaves_no_run_behind(tmp_path: Path, changes: Any, said: str) -> None:
    with pytest.raises(AvrewardError) as caught:
        done(small(tmp_path, **changes))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any((tmp_path / "out").glob("*"))  # another start finds a new folder


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    done(small(tmp_path, updates=1))
    with pytest.raises(ArgumentError, match="output: expected a new folder, got that of a run with other settings"):
        done(small(tmp_path, updates=1, seed=5))
    with pytest.raises(ArgumentError, match="which holds a run"):
        done(small(tmp_path, updates=1), resume=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ArgumentError, match="which holds other files"):
        done(small(tmp_path, updates=1, output=str(tmp_path / "other")))


def test_warnings_before_the_first_update(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("rain\n")
    said: list[str] = []
    changes = {"conditions": str(tmp_path / "one.txt"), "updates": 1, "guards_off": ["samples"]}
    record = done(small(tmp_path, **changes), say=said.append)
    assert any(line.startswith("conditions: only one") for line in said)
    assert any("no term compares a clip with its prompt" in line for line in said)
    assert record.warnings == said
    assert all(line.startswith("probes: the reward prefers") for line in said[2:])


def test_batches_go_through_all_conditions_and_never_repeat_a_noise(tmp_path: Path) -> None:
    conditions = [Condition(arguments={"prompt": str(number)}) for number in range(5)]
    run = small(tmp_path, "nft", batch=2, group=3)
    batches = [batch_of(run, conditions, update, True) for update in range(10)]
    told = [one.arguments["prompt"] for chosen, _ in batches for one in chosen]
    assert sorted(told[:5]) == sorted(told[5:10]) == [*"01234"]
    assert told[:5] != told[5:10]
    noises = [noise for _, groups in batches for group in groups for noise in group]
    assert len(set(noises)) == len(noises) == 60
    assert batch_of(run, conditions, 3, True) == batches[3]
    single = batch_of(run, conditions, 0, False)[1]
    assert all(isinstance(noise, Noise) for noise in single)


def test_a_tracker_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avreward.training.tuning.trainer.find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match="trackers: expected installed ones, got wandb, which is not installed"):
        done(small(tmp_path, trackers=["wandb"]))


@pytest.mark.slow
def test_two_processes_of_the_command_end_where_one_does(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders, 1):
        folder.mkdir()
        (folder / "tune.yaml").write_text(yaml.safe_dump(entries(folder, "nft", updates=2, batch=2)))
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if number == 2 else []
        command = [sys.executable, *launch, "-m", "avreward", "tune", str(folder / "tune.yaml")]
        paths = os.pathsep.join([str(Path(HERE).parent), *filter(None, sys.path)])
        environment = os.environ | {"PYTHONPATH": paths}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    facts = [json.loads((folder / "out" / "run.json").read_text())["facts"]["processes"] for folder in folders]
    assert facts == ["1", "2"]
    for mine, other in zip(curves(folders[0]), curves(folders[1]), strict=True):
        assert {k: float(v) for k, v in mine.items()} == pytest.approx(
            {k: float(v) for k, v in other.items()}, rel=1e-4
        )
    for name, value in lora(folders[0]).items():
        torch.testing.assert_close(value, lora(folders[1])[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_pipeline_with_a_multistep_scheduler_is_tuned_by_euler_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diffusers = pytest.importorskip("diffusers")
    from tiny_pipelines import tiny_wan

    pipe = tiny_wan()
    pipe.scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", lambda name, **options: pipe)
    run = small(
        tmp_path, "raft", generator="wan", options={"fps": 8}, arguments={"num_frames": 5, "height": 16, "width": 16,
        "guidance_scale": 1.0}, reward="red.red", held_out="red.red", updates=1, batch=1, group=2,
        settings={"steps": 2, "times": 1}, lora={"rank": 2, "targets": ["to_q", "to_v"]},
    )  # fmt: skip
    assert done(run).status == "finished"
    assert (type(pipe.scheduler).__name__, pipe.scheduler.config.shift) == ("FlowMatchEulerDiscreteScheduler", 3.0)
    with pytest.raises(ArgumentError, match=r"options: expected one of dtype, fps, checkpointing, got 'device'"):
        done(small(tmp_path, generator="wan", options={"device": "cuda"}, output=str(tmp_path / "other")))
