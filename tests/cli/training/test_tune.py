"""`avreward tune`: a run, its errors in a line, and clips before and after for `avreward compare`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from training_runs import HERE, entries

from avreward.cli._common import NOTHING, SOME_FAILED, USAGE


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    content = entries(tmp_path, updates=12, batch=6, every=12) | {"variants": {"short": ["updates=1"]}}
    Path("tune.yaml").write_text(yaml.safe_dump(content))
    return Path("tune.yaml")


def test_a_generator_is_tuned_and_compared_on_held_out_prompts(run, config) -> None:
    done = run("tune", config, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["updates"]) == ("finished", 12)
    assert told["last"]["reward"] > 0.5
    Path("held_out.txt").write_text("\n".join(f"prompt number {number}" for number in range(8)))
    made = run("tune", config, "--clips-of", "held_out.txt", "--json")
    assert made.exit_code == 0, made.stderr
    table = Path(json.loads(made.stdout)["clips"])
    rows = list(csv.DictReader(table.open(newline="")))
    assert [row["system"] for row in rows] == ["before", "after"] * 8
    assert {row["prompt"] for row in rows} == {f"prompt number {number}" for number in range(8)}
    assert all((table.parent / row["clip"]).is_file() for row in rows)
    # the same noise on both sides: what differs is the LoRA
    words = ["--system", "system", "--group-by", "condition", "--before", "before", "--trained", "red.red"]
    raters = ["--rater", f"red={HERE}:red", "--rater", f"push={HERE}:push"]
    compared = run("compare", table, *words, "--score", "red.red", "--score", "push.push", *raters, "--json")
    assert compared.exit_code == 0, compared.stderr
    [verdict] = json.loads(compared.stdout)["fine_tunes"]
    assert verdict["changes"]["red.red"] == "rose"


def test_a_run_goes_on_and_a_guard_gives_an_exit_code(run, config) -> None:
    short = run("tune", config, "--variant", "short")
    assert short.exit_code == 0
    assert "finished after 1 updates" in short.stdout
    assert run("tune", config, "--variant", "short", "--fresh").exit_code == USAGE
    stopped = run("tune", config, "--out", "flat", "--set", "reward=flat.flat", "--set", "updates=25")
    assert stopped.exit_code == SOME_FAILED
    assert "stopped after 20 updates: reward: its gradient was 0" in stopped.stderr


def test_wrong_input_is_one_line(run, config) -> None:
    wrong = run("tune", config, "--set", "settings.lerning_rate=1")
    assert wrong.exit_code == USAGE
    assert "did you mean 'learning_rate'" in wrong.stderr
    assert run("tune", "none.yaml").exit_code == NOTHING
    early = run("tune", config, "--clips-of", "prompts.txt")
    assert early.exit_code == USAGE
    assert "output: expected the folder of a finished run" in early.stderr.replace("--out", "output")
    stuck = run("tune", config, "--set", "reward=cut.cut")
    assert stuck.exit_code == NOTHING
    assert "set loop: nft, flow_grpo, dpo or raft" in stuck.stderr
    assert "Traceback" not in stuck.stderr


def test_what_a_generator_raises_is_one_line_and_no_guard(run, config) -> None:
    failed = run("tune", config, "--set", f"generator={HERE}:Breaking", "--set", "batch=2", "--set", "every=1")
    assert failed.exit_code == NOTHING
    assert "the run failed (RuntimeError: there is no memory left); correct it (avreward --verbose" in failed.stderr
    assert "Traceback" not in failed.stderr
    kept = json.loads(Path("out/run.json").read_text())
    assert (kept["status"], len(kept["rows"])) == ("failed", 1)
    assert kept["reason"] == "RuntimeError: there is no memory left"
