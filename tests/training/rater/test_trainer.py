"""Training: truth is recovered, parts of a batch equal the whole, a kill changes nothing, faults are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from known_quality import as_pairs, noisy_tone, noisy_video
from safetensors.torch import load_file
from tiny.aigveval import tiny_aigveval
from tiny.avbench_audio import tiny_nisqa

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.evaluation import srcc
from avreward.raters import NetworkRater, TrainedRater
from avreward.training import RaterTrainer, RaterTrainingArguments, last_checkpoint
from avreward.training.rater._lora import MasterWeights

HERE = Path(__file__).parent


def arguments(folder: Path, **changes: Any) -> RaterTrainingArguments:
    options = {"use_cpu": True, "disable_tqdm": True, "per_device_train_batch_size": 8, "num_train_epochs": 1}
    options |= {"learning_rate": 3e-3, "dataloader_pin_memory": False}
    return RaterTrainingArguments(output_dir=str(folder), **{**options, **changes})


def tones(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [noisy_tone(start + i) for i in range(count)]


def weights(rater: NetworkRater) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in rater.module.parameters()])


def test_a_trained_rater_is_saved_with_what_training_found(tmp_path) -> None:
    rater = tiny_nisqa()
    held = tones(13, 100)
    trainer = RaterTrainer(rater, tones(32), held, arguments(tmp_path / "out", num_train_epochs=2))
    trainer.train()
    trained = trainer.finish()
    saved = load_rater(trained.save_pretrained(tmp_path / "rater"))
    assert isinstance(saved, TrainedRater)
    clips = [row["clip"] for row in held]
    scores, again = trained(clips), saved(clips)
    torch.testing.assert_close(again.values, scores.values)
    assert saved.fingerprint == trained.fingerprint
    dimension = saved.dimension("speech_quality")
    assert dimension.calibrated == ("speech_quality" in saved.calibrations)
    truth = torch.tensor([row["speech_quality"] for row in held])
    if dimension.calibrated:
        off = (scores["speech_quality"] - truth).square().mean().sqrt()
        assert float(off) == pytest.approx(saved.sigmas["speech_quality"], rel=1e-4)
        assert float(again.sigma[0, 0]) == pytest.approx(float(off), rel=1e-4)
        assert scores.levels("speech_quality")[0] in ("bad", "poor", "fair", "good", "excellent")
    assert len(saved.reference["speech_quality"]) == 13
    card = (tmp_path / "rater" / "README.md").read_text()
    for expected in (
        "## Training",
        "32 rows of 32 groups",
        "13 rows held out",
        "| epoch |",
        "`learning_rate`",
        "## Limits",
    ):
        assert expected in card
    wave = torch.rand(1, 6400).sub(0.5).requires_grad_()
    saved([Clip(audio=wave, sample_rate=16000)])["speech_quality"].sum().backward()
    assert wave.grad.abs().max() > 0
    with torch.no_grad():
        raw = saved.rater(clips)["speech_quality"]
    last = trainer.evaluate()
    assert last["eval_srcc"] == pytest.approx(srcc(raw, truth), abs=1e-6)  # every held-out row counts
    epochs = [one["epoch"] for one in trainer.state.log_history if "eval_srcc" in one]
    assert epochs[:2] == [1.0, 2.0]
    assert {"eval_plcc", "eval_krcc", "eval_rmse", "eval_pair_accuracy"} <= last.keys()


@pytest.mark.slow
def test_ratings_and_pairs_recover_the_known_order(tmp_path) -> None:
    rows, held = tones(96), tones(40, 1000)
    clips, truth = [row["clip"] for row in held], torch.tensor([row["speech_quality"] for row in held])
    found = {}
    for stage, data, tested, more in (
        ("scores", rows, held, {}),
        ("pairs", as_pairs(rows, "speech_quality"), as_pairs(held, "speech_quality"), {"temperature": 0.2}),
    ):
        args = arguments(tmp_path / stage, stage=stage, per_device_train_batch_size=16, num_train_epochs=6, **more)
        trainer = RaterTrainer(tiny_nisqa(), data, tested, args)
        trainer.train()
        with torch.no_grad():
            found[stage] = trainer.finish()(clips)["speech_quality"]
        assert srcc(found[stage], truth) >= 0.9, stage
    assert srcc(found["scores"], found["pairs"]) >= 0.9


@pytest.mark.parametrize("loss", ["plcc", "rank", "fidelity"])
def test_accumulated_parts_equal_one_batch(loss, tmp_path) -> None:
    found = []
    for size, parts in ((8, 1), (2, 4)):
        rater = tiny_nisqa()
        rater.module.double()
        args = arguments(
            tmp_path / f"{size}", loss=loss, optim="sgd", learning_rate=0.1, max_grad_norm=0.0, max_steps=3,
            per_device_train_batch_size=size, gradient_accumulation_steps=parts, save_strategy="no",
        )  # fmt: skip
        before = weights(rater).clone()
        RaterTrainer(rater, tones(24), None, args).train()
        assert (weights(rater) - before).abs().max() > 1e-6
        found.append(weights(rater))
    torch.testing.assert_close(found[1], found[0], atol=1e-8, rtol=1e-5)


def run(script: str, *options: str, processes: int = 0) -> subprocess.CompletedProcess[str]:
    python = [sys.executable]
    if processes:
        python += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    tests = HERE.parents[1]
    folders = [tests, *(tests.parent / name for name in ("recipes", "benchmarks", "src"))]
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*python, str(HERE / script), *options], env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_equal_one(tmp_path) -> None:
    alone = run("train_script.py", str(tmp_path / "one"), "--batch", "8")
    both = run("train_script.py", str(tmp_path / "two"), "--batch", "4", processes=2)
    assert alone.returncode == both.returncode == 0, both.stderr[-2000:]
    one, two = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("one", "two"))
    torch.testing.assert_close(two, one, atol=1e-8, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_run_ends_with_the_same_weights(tmp_path) -> None:
    whole = run("train_script.py", str(tmp_path / "whole"), "--adam")
    killed = run("train_script.py", str(tmp_path / "killed"), "--adam", "--kill-at", "5")
    assert whole.returncode == 0, whole.stderr[-2000:]
    assert killed.returncode == -9
    assert last_checkpoint(tmp_path / "killed").name == "checkpoint-4"
    resumed = run("train_script.py", str(tmp_path / "killed"), "--adam", "--resume")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    first, second = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("whole", "killed"))
    assert torch.equal(first, second)


def test_a_checkpoint_that_was_cut_off_is_not_resumed_from(tmp_path) -> None:
    for step, whole in ((4, True), (8, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if whole:
            (folder / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path).name == "checkpoint-8"
    assert last_checkpoint(tmp_path / "none") is None


def test_lora_trains_adapters_alone_and_merges_them(tmp_path) -> None:
    rater = tiny_aigveval()
    rater.module.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in rater.module.state_dict().items()}
    rows = [noisy_video(i) for i in range(8)]
    args = arguments(tmp_path, lora=r".*self_attn\.[qv]_proj", lora_dropout=0.0, learning_rate=0.05, max_steps=2)
    trainer = RaterTrainer(rater, rows, None, args)
    trained = {name for name, weight in rater.module.named_parameters() if weight.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    trainer.train()
    checkpoint = last_checkpoint(tmp_path) / "model.safetensors"
    assert checkpoint.stat().st_size < 60_000
    clips = [row["clip"] for row in rows]
    with torch.no_grad():
        adapted = rater(clips)["quality"]
        merged = trainer.finish()
        torch.testing.assert_close(merged.rater(clips)["quality"], adapted, atol=0.05, rtol=0)
    after = rater.module.state_dict()
    assert after.keys() == before.keys()
    assert {weight.dtype for weight in after.values() if weight.is_floating_point()} == {torch.bfloat16}
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all("q_proj" in name or "v_proj" in name for name in changed)


def test_a_narrow_network_is_trained_through_wide_copies(tmp_path) -> None:
    rater = tiny_aigveval()
    args = arguments(tmp_path, bf16=True, train_weights=[".*vision_projector", "technical_projector"], max_steps=2)
    rows = [noisy_video(i) for i in range(8)]
    trainer = RaterTrainer(rater, rows, None, args)
    assert {weight.dtype for weight in rater.module.parameters()} == {torch.bfloat16}
    trainer.train()
    saved = load_file(last_checkpoint(tmp_path) / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in saved.values())
    for name, weight in trainer.network.named_parameters():
        if weight.requires_grad:
            assert torch.equal(weight, saved[name].bfloat16())


def test_small_steps_add_up_in_the_copies() -> None:
    layer = torch.nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    torch.nn.init.ones_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
    masters = MasterWeights(layer)
    masters.attach(optimizer)
    for _ in range(100):
        layer.zero_grad()
        layer.weight.sum().backward()
        optimizer.step()
    assert float(masters.state()["weight"]) == pytest.approx(0.9, abs=1e-5)
    assert float(layer.weight.detach()) == pytest.approx(0.9, abs=4e-3)
    masters.restore({"weight": torch.full((1, 1), 0.5)})
    assert float(layer.weight.detach()) == 0.5


def test_levels_teach_the_words(tmp_path) -> None:
    rows = [noisy_video(i) for i in range(16)]
    trainer = RaterTrainer(tiny_aigveval(), rows, rows, arguments(tmp_path, stage="levels", num_train_epochs=3))
    trainer.train()
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    assert len(losses) > 0
    assert trainer.finish().record["stages"][0]["settings"]["loss"] == "cross_entropy"


def test_whole_groups_for_losses_on_lists(tmp_path) -> None:
    rows = [{**row, "group": str(i // 4)} for i, row in enumerate(tones(16))]
    args = arguments(tmp_path, loss="listwise", per_device_train_batch_size=2, max_steps=2)
    trainer = RaterTrainer(tiny_nisqa(), rows, None, args)
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["group"].unique(return_counts=True)[1].tolist() == [4, 4]
    trainer.train()


def test_equal_ratings_of_a_batch_are_skipped_with_a_warning(tmp_path) -> None:
    rows = [{**row, "speech_quality": 3.0 if i < 16 else 4.0} for i, row in enumerate(tones(17))]
    args = arguments(tmp_path, max_steps=4, save_strategy="no")
    trainer = RaterTrainer(tiny_nisqa(), rows, None, args)
    with pytest.warns(UserWarning, match="all ratings of the batch are equal"):
        trainer.train()
    assert trainer.skipped > 0


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path) -> None:
    rater = tiny_nisqa()
    trainer = RaterTrainer(rater, tones(8), None, arguments(tmp_path / "out", loss="mse", save_strategy="no"))
    trainer.objective.forward = lambda scores, batch: scores.sum() * torch.inf
    before = weights(rater).clone()
    with pytest.raises(AvrewardError, match=r"^loss: expected a finite number, got .* at step 1; lower learning_rate"):
        trainer.train()
    assert torch.equal(weights(rater), before)


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path, monkeypatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    trainer = RaterTrainer(tiny_nisqa(), tones(8), None, arguments(tmp_path / "out", save_strategy="epoch"))
    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.train()
    assert not list((tmp_path / "out").glob("checkpoint-*"))


TWICE = noisy_tone(0)


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([{"clip": f"no{i}.wav", "speech_quality": i} for i in range(2)], {}, "2 files that do not exist"),
        ([{**noisy_tone(i), "speech_quality": 3} for i in range(8)], {}, "3 for all 8 clips; nothing can be learned"),
        ([noisy_tone(0)], {}, "different ratings"),
        ([noisy_tone(0), noisy_tone(1)], {}, "at least one batch of 8, got 2 rows"),
        ([{**noisy_tone(0), "speech_quality": "fine"}], {}, "row 1: speech_quality: expected a finite number"),
        ([noisy_tone(0), noisy_tone(1)], {"dimensions": ["speech_qualty"]}, "did you mean 'speech_quality'"),
        ([noisy_tone(0), noisy_tone(1)], {"dimensions": ["speech_quality=mos"]}, "column of speech_quality"),
        ([{"clip": noisy_tone(0)["clip"], "mos": 1}], {}, "a column for one of speech_quality"),
        ([], {}, "a row for each clip or pair"),
        ([TWICE, {**TWICE, "speech_quality": 2.0}], {}, "each clip once with one prompt, got .* in the rows 1 and 2"),
        ([{"first": TWICE["clip"], "second": TWICE["clip"], "speech_quality": "first"}], {"stage": "pairs"},
         "row 1: expected two clips, got .* twice"),
        (tones(8), {"lora": "nothing"}, "lora: expected a pattern of names"),
        (tones(8), {"train_weights": ["("]}, "a regular expression"),
        (tones(8), {"stage": "levels"}, "without a language model"),
        (tones(8), {"loss": "listwise", "per_device_train_batch_size": 1}, "groups of two clips or more"),
        ([{**as_pairs(tones(2), "speech_quality", (1,))[0], "speech_quality": "best"}], {"stage": "pairs"},
         "row 1: speech_quality: expected first, second or tie"),
    ],
)  # fmt: skip
def test_wrong_data_and_settings_are_named(rows, changes, message, tmp_path) -> None:
    with pytest.raises(AvrewardError, match=message):
        RaterTrainer(tiny_nisqa(), rows, None, arguments(tmp_path, **changes))


def test_a_clip_that_cannot_be_rated_is_named(tmp_path) -> None:
    rows = [*tones(7), {"clip": Clip(video=torch.rand(4, 3, 8, 8), fps=4), "speech_quality": 2.0}]
    with pytest.raises(AvrewardError, match=r"no score speech_quality .*; remove its row"):
        RaterTrainer(tiny_nisqa(), rows, None, arguments(tmp_path)).train()


def test_shared_groups_are_warned_of(tmp_path) -> None:
    with pytest.warns(UserWarning, match="8 groups in training and evaluation"):
        RaterTrainer(tiny_nisqa(), tones(8), tones(8), arguments(tmp_path))


def test_raters_without_weights_are_refused(tmp_path) -> None:
    with pytest.raises(ArgumentError, match="a differentiable rater with weights, got signals"):
        RaterTrainer(load_rater("signals"), tones(8), None, arguments(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "score"}, "did you mean 'scores'"),
        ({"loss": "plcc + 0.3*ranks"}, "did you mean 'rank'"),
        ({"loss": "x*plcc"}, "a sum such as"),
        ({"loss": "plcc + listwise"}, "losses over groups alone"),
        ({"ties": "never"}, "ties: expected one of"),
        ({"temperature": 0.0}, "temperature: expected a positive number"),
        ({"dimensions": "overall"}, r"pass \['overall'\]"),
    ],
)
def test_wrong_arguments_are_named(changes, message, tmp_path) -> None:
    with pytest.raises(ArgumentError, match=message):
        arguments(tmp_path, **changes)


def test_a_damaged_record_is_named(tmp_path) -> None:
    trainer = RaterTrainer(tiny_nisqa(), tones(8), None, arguments(tmp_path / "out", save_strategy="no"))
    folder = trainer.finish().save_pretrained(tmp_path / "rater")
    config = json.loads((folder / "config.json").read_text())
    config["trained"] = {"calibration": {"speech_quality": {"cubic": [1]}}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(AvrewardError, match="damaged record"):
        load_rater(folder)
