"""The benchmark of the tuning loops: what it runs, keeps, and makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import tuning
from tuned import HELD_OUT
from tuning import (
    LOOPS,
    RATES,
    SEARCH_SEED,
    SEEDS,
    Run,
    Runs,
    equal_cost_table,
    gain_at,
    planned,
    ratio_table,
    spent_until,
)

MATCH = HELD_OUT + "match"
SLOW = {"Flow-GRPO": 480.0}


def curve(run: Run) -> list[dict[str, float]]:
    """A straight rise; the second learning rate is the best, and controls stay where they are."""
    end = 0.0 if run.control else 0.2 * (1 + (run.rate == RATES[1])) + 0.01 * run.seed * (run.seed in SEEDS)
    samples = SLOW.get(run.loop, 40.0)
    points = []
    for share in (0.0, 0.5, 1.0):
        point = dict.fromkeys(("samples", "steps", "calls", "seconds"), share * samples)
        points.append(point | dict.fromkeys(("reward", MATCH), 1 + share * end))
    return points


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Runs:
    monkeypatch.setattr(Run, "curve", curve)
    return Runs(tmp_path / "runs.jsonl")


def test_every_loop_gets_the_same_search_and_a_control(runs):
    found = list(planned(runs, list(LOOPS)))
    for loop in LOOPS:
        own = [run for run in found if run.loop == loop]
        assert [run.rate for run in own if run.seed == SEARCH_SEED] == list(RATES)
        assert {(run.rate, run.seed, run.control) for run in own if run.seed != SEARCH_SEED} == {
            (RATES[1], seed, control) for seed in SEEDS for control in (False, True)
        }
    assert len(set(found)) == len(found)


def test_a_run_is_kept_and_a_line_that_was_cut_off_is_run_again(runs, monkeypatch):
    first, second = (Run("RAFT", "dubs", 1e-3, seed) for seed in (0, 1))
    runs(first)
    runs(second)
    whole = runs.path.read_text()
    runs.path.write_text(whole[:-40])
    again = Runs(runs.path)
    assert set(again.found) == {first}
    assert again(second) == curve(second)
    monkeypatch.setattr(Run, "curve", None)
    assert set(Runs(runs.path).found) == {first, second}
    assert Runs(runs.path)(first) == curve(first)


def test_costs_and_gains_are_read_between_two_looks():
    points = curve(Run("RAFT", "dubs", RATES[1], 0))
    assert spent_until(points, 0.1, "samples") == pytest.approx(10)
    assert spent_until(points, 0.5, "samples") == float("inf")
    assert gain_at(points, 30, "samples") == pytest.approx(0.3)


def test_the_tables(runs, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tuning.py"])
    tuning.main(["--out", str(runs.path)])
    shown = capsys.readouterr().out
    half = "+0.410 ± 0.025"  # 0.40, 0.41, 0.42, and Student's t
    assert f"| RAFT | {RATES[1]:g} | 40 | 40 | 40 | 40 | {half} | +0.000 ± 0.000 | {half} | +0.000 ± 0.000 |" in shown
    assert "| DRaFT-3 | 1 | 35 | 3 | 12.0 | 12.0 |" in shown
    assert len(runs.path.read_text().splitlines()) == len(list(planned(Runs(runs.path), list(LOOPS))))
    found = Runs(runs.path)
    assert "| samples | +0.034 ± 0.002 | +0.410 ± 0.025 | +0.410 ± 0.025 |" in equal_cost_table(found)
    monkeypatch.setattr(Run, "curve", None)
    tuning.main(["--out", str(runs.path), "--loops", "RAFT"])
    assert "| RAFT |" in (alone := capsys.readouterr().out)
    assert "AWM" not in alone
    assert json.loads(runs.path.read_text().splitlines()[0])["run"]["loop"] == next(iter(LOOPS))


def test_a_gain_that_flow_grpo_never_had_gives_a_bound(runs, monkeypatch):
    monkeypatch.setattr(Run, "curve", lambda run: curve(replace(run, control=run.loop in SLOW)))
    assert "| DRaFT-3 | 1 | > 480 | 3 | > 164.0 | > 164.0 |" in ratio_table(runs)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_a_small_run_of_each_loop(name, monkeypatch):
    monkeypatch.setattr(tuning, "STEPS", 2)
    for count in ("TRAIN", "TEST"):
        monkeypatch.setattr(f"tuned_tasks.{count}", 1)
    make, settings, size = LOOPS[name]
    small = {"updates": 1, "batch": 1, "group": min(2, size["group"])}
    options = settings | ({"truncation": 1} if "truncation" in settings else {})
    monkeypatch.setitem(LOOPS, name, (make, options, small))
    before, after = Run(name, "dubs", 1e-3, SEARCH_SEED).curve()
    assert after["samples"] == small["group"]
    assert after["calls"] > 0
    assert MATCH in before
