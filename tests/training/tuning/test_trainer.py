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
from tiny.flow import JointGenerator
from training_runs import HERE, SETTINGS, Prompted, entries, small

from avreward import Clip, term
from avreward.errors import ArgumentError, AvrewardError
from avreward.generators import Condition, Noise
from avreward.generators.clip_encoder import some_frames
from avreward.raters._user_file import rater_in_file
from avreward.training import Draft, TuningRun, add_lora, tune
from avreward.training.tuning._guards import reason_to_stop, warn_at_start
from avreward.training.tuning._parts import make_parts
from avreward.training.tuning._record import RunRecord, note_failure
from avreward.training.tuning._watched import WatchedGenerator
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


@pytest.mark.parametrize("failing", [1, 3])
def test_whatever_is_raised_ends_a_run_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    run, calls = small(tmp_path, "nft", updates=4, every=1), []

    def decode(self: Prompted, latents: Any, encoded: Any) -> Any:
        calls.append(encoded)
        if len(calls) == 2 * failing:  # a batch is two conditions
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
        return JointGenerator.decode(self, latents, encoded)

    monkeypatch.setattr("training_runs.Prompted.decode", decode, raising=False)
    monkeypatch.setattr("avreward.training.tuning._parts.object_in_file", lambda *_: Prompted)
    with pytest.raises(torch.OutOfMemoryError):
        done(run)
    kept = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (kept["status"], len(kept["rows"])) == ("failed", failing - 1)
    assert kept["reason"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate"
    assert "CUDA out of memory" in (tmp_path / "out" / "report.html").read_text()
    monkeypatch.undo()
    if failing == 1:  # nothing was trained: the folder is as good as new
        assert done(small(tmp_path, "raft", updates=1)).status == "finished"
    else:
        with pytest.raises(ArgumentError, match="run with other settings"):
            done(small(tmp_path, "raft", updates=1))
        monkeypatch.setattr("avreward.training.tuning.trainer.make_parts", _fail)  # before the run has begun again
        with pytest.raises(AvrewardError, match="no such"):
            done(run)
        assert json.loads((tmp_path / "out" / "run.json").read_text())["reason"] == "no such thing"
        monkeypatch.undo()
        assert len(done(run).rows) == 4


def _fail(*_: Any) -> None:
    raise AvrewardError("no such thing")


def test_a_failure_of_another_process_is_noted_once(tmp_path: Path) -> None:
    note_failure(tmp_path, "too early")
    assert not list(tmp_path.iterdir())
    RunRecord(small(tmp_path, output=str(tmp_path))).write()
    for number in (1, 2):
        note_failure(tmp_path, "OutOfMemoryError", process=number)
    kept = json.loads((tmp_path / "run.json").read_text())
    assert (kept["status"], kept["reason"]) == ("failed", "process 1: OutOfMemoryError")


def test_single_rewards_that_are_missing_do_not_end_a_run_of_one_clip_an_update(tmp_path: Path) -> None:
    record = done(small(tmp_path, reward="holey.holey", updates=12, batch=1, every=12))
    assert record.status == "finished"
    missing = [row["missing"] for row in record.rows]
    assert 0 < sum(missing) <= 6
    assert [row["reward"] is None for row in record.rows] == [bool(one) for one in missing]
    assert all(row["loss"] is None and not row["constant"] for row in record.rows if row["missing"])
    for loop in ("draft", "nft"):
        (tmp_path / loop).mkdir()
        stopped = done(small(tmp_path / loop, loop, reward="never.never", updates=30, batch=1, group=3))
        clips = sum(row["clips"] for row in stopped.rows)
        assert (stopped.status, clips) == ("stopped", 10 if loop == "draft" else 18)
        assert stopped.rows[-1]["lora_norm"] == 0
        assert f"of the last {clips} clips had" in stopped.reason


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
    kept = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (kept["status"], "File too large" in kept["reason"]) == ("failed", True)
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
    row |= {"constant": 0, "reward": 1.0}

    def reason(
        changes: dict[str, Any], count: int, off: tuple[str, ...] = (), made: int = 10, **more: Any
    ) -> str | None:
        rows = [row | (changes if number >= made - count else {}) for number in range(made)]
        run = small(tmp_path, guards_off=off, updates=more.pop("updates", 99))
        return reason_to_stop(RunRecord(run, rows=rows, **more), None)

    assert reason({}, 0) is None
    assert reason({"missing": 5}, 1) == "41 of the last 80 clips had no finite reward; see the warnings for the reasons"
    assert reason({"missing": 8}, 10, ("missing",)) is None
    none = {"missing": 8, "reward": None}
    assert reason(none, 1) == "44 of the last 80 clips had no finite reward; see the warnings for the reasons"
    assert reason(none, 1, made=9) is None
    assert reason(none, 2, made=2, warnings=["missing: a", "missing: b", "kl: c"]) == (
        "none of the last 16 clips had a finite reward (b)"
    )
    one = {"clips": 1, "missing": 1, "reward": None}  # batches of one
    assert reason(one, 5, made=5) is None
    assert reason(one, 3, made=3, updates=3) == "none of the last 3 clips had a finite reward"
    assert reason(one, 2, made=3, updates=3) is None
    same = row | {"constant": 1, "missing": 0}
    rows = [same] * 19 + [row | one, same]  # a constant reward with a gap
    assert "20 updates in a row" in str(reason_to_stop(RunRecord(small(tmp_path), rows=rows), None))
    assert reason({"gradient_norm": None}, 5) is None
    assert "6 of the last 10 gradients were not finite" in str(reason({"gradient_norm": None}, 6))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": "cut.cut"}, "set loop: nft, flow_grpo, dpo or raft, which need scores alone"),
        ({"reward": "declared.declared"}, "set loop: nft, flow_grpo, dpo or raft, which need scores alone"),
        (
            {"generator": f"{HERE}:Silent", "reward": "red.red + push.push"},
            "terms that may move video, got 'push.push'",
        ),
        ({"generator": f"{HERE}:Rigid"}, "lora.targets: expected layers that take a LoRA, got a ParameterList"),
        (
            {"lora": {"targets": ["to_q"]}},
            "lora.targets: expected layers' names, got 'to_q'; choose from hidden, video",
        ),
        ({"lora": {"rank": 0}}, "lora.rank: expected a positive integer, got 0"),
        ({"settings": {"steps": 2, "truncation": 3}}, "settings.truncation: expected 1 to 2 steps"),
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
    assert not any((tmp_path / "out").glob("update-*"))
    assert done(small(tmp_path, updates=1)).status == "finished"  # in the same folder


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
    changes = {"conditions": str(tmp_path / "one.txt"), "updates": 1, "guards_off": ["samples"], "reward": "dark.dark"}
    off = small(tmp_path, **{**changes, "guards_off": ["samples", "probes"], "output": str(tmp_path / "off")})
    record = done(small(tmp_path, **changes), say=said.append)
    assert any(line.startswith("conditions: only one") for line in said)
    assert any("no term compares a clip with its prompt" in line for line in said)
    assert record.warnings == said
    probed = [line for line in said if line.startswith("probes: ")]
    assert len(probed) == len(said) - 2
    assert any(line.startswith("probes: the reward prefers black frames") for line in probed)
    assert record.probes["black"] > 0
    assert not any(line.startswith("probes: ") for line in done(off).warnings)


def test_a_held_out_reward_that_is_trained_on_and_a_distance_that_is_not_measured(tmp_path: Path) -> None:
    """What is read twice is told by its fingerprint, whatever its name."""
    (tmp_path / "out").mkdir()
    for number, (changes, expected) in enumerate(
        [
            ({"held_out": "2*red.red"}, ["held_out: red.red is trained on, too; name a reward of other raters"]),
            ({"raters": {"red": f"{HERE}:red", "own": f"{HERE}:red"}, "held_out": "own.red"}, ["held_out: own.red is"]),
            ({"raters": {}, "reward": "signals.static_quality", "held_out": "signals.clipping", "loop": "raft"},
             ["held_out: of the rater signals, which is trained on by other scores"]),
            ({"raters": {}, "reward": "signals.static_quality", "held_out": None}, ["held_out: none is named, and"]),
            ({"settings": SETTINGS["draft"] | {"kl_weight": 0.0}}, ["kl: settings.kl_weight is 0, so that"]),
            ({"settings": SETTINGS["draft"] | {"kl_weight": 0.0}, "guards_off": FAR}, []),
            ({}, []),
        ]
    ):  # fmt: skip
        run = small(tmp_path, **{"updates": 1, "output": str(tmp_path / "out" / str(number)), **changes})
        record = RunRecord(run)
        found = warn_at_start(record, make_parts(run, torch.device("cpu")))
        assert len(found) == len(expected), found
        assert all(text.startswith(start) for text, start in zip(found, expected, strict=True)), found
        assert record.warnings == found


def test_frames_are_decoded_alone_and_the_held_out_reward_sees_whole_clips() -> None:
    class Sparse(Prompted):
        """Decodes some frames alone."""

        def decode_frames(self, latents: Any, encoded: Any, count: int, draw: torch.Generator) -> list[Clip]:
            asked.append(count)
            return [some_frames(clip, count, draw) for clip in JointGenerator.decode(self, latents, encoded)]

    @term(needs="video", low=0, high=9)
    def length(clip: Clip) -> float:
        """The number of frames."""
        assert not torch.is_grad_enabled()
        return float(len(clip.times))

    for kind in (Prompted, Sparse):
        asked: list[int] = []
        own = kind()
        add_lora(own.network, rank=2)
        watched = WatchedGenerator(own, length["length"])
        Draft(watched, rater_in_file(f"{HERE}:red")["red"], steps=2, frames=1).update(
            [Condition()] * 2, [Noise.of(0), Noise.of(1)]
        )
        assert watched.take_held_out() == [2.0, 2.0]
        assert asked == ([1, 1] if kind is Sparse else [])
    quiet, encoded = WatchedGenerator(own, None), own.encode(Condition())
    latents = own.start(encoded, [Noise.of(0)])
    [clip] = quiet.decode_frames(latents, encoded, 1, torch.Generator())
    assert (len(clip.times), quiet.take_held_out()) == (1, [])


def test_curves_and_samples_reach_a_tracker(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = small(tmp_path, trackers=["tensorboard"], updates=2, guards_off=["probes", "prompt"])
    record = done(run)
    files = (tmp_path / "out").rglob("events.out.tfevents.*")
    read = [EventAccumulator(str(file), size_guidance={"audio": 0}).Reload() for file in files]
    [found] = [one for one in read if "tune/reward" in one.Tags()["scalars"]]
    assert [scalar.step for scalar in found.Scalars("tune/reward")] == [1, 2]
    for name in ("reward", "red.red", "held_out", "lora_norm", "kl"):
        values = [scalar.value for scalar in found.Scalars(f"tune/{name}")]
        assert values == pytest.approx([row[name] for row in record.rows])
    assert found.Tags()["audio"]
    assert {sound.step for name in found.Tags()["audio"] for sound in found.Audio(name)} == {0, 2}


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
